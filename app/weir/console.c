/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <cmdline_rdline.h>
#include <rte_errno.h>

#include "console.h"
#include "weir_error.h"

#define PROMPT "weir> "

struct console {
	struct control *control;
	struct rdline *line;
	bool is_terminal;
	struct termios before; /* of the terminal */
};

static int
write_char(struct rdline *line, char c)
{
	return (int)write(STDOUT_FILENO, &c, 1);
}

static void
run_line(struct rdline *line, const char *text, unsigned int size)
{
	struct console *console = rdline_get_opaque(line);
	int rc;

	if (strcspn(text, "\n") > CONSOLE_LINE_MAX)
		rc = weir_error(EINVAL,
				"a line has %d characters at most: --cmdline-file takes "
				"longer ones",
				CONSOLE_LINE_MAX);
	else
		rc = control_line(console->control, text, stdout);
	if (rc != 0)
		printf("error: %s\n", weir_error_text());
	fflush(stdout);
	if (console->control->quit)
		rdline_quit(line);
}

static int
complete_line(struct rdline *line, const char *text, char *dst, unsigned int size, int *state)
{
	return console_complete(text, dst, size, state);
}

/** Characters as they are typed: the line is edited, and echoed, by us. */
static int
terminal_take(struct console *console)
{
	struct termios raw;

	console->is_terminal = isatty(STDIN_FILENO);
	if (!console->is_terminal)
		return 0;
	if (tcgetattr(STDIN_FILENO, &console->before) != 0)
		return weir_error(errno, "the terminal cannot be set: %s", strerror(errno));
	raw = console->before;
	raw.c_lflag &= ~(ICANON | ECHO | ISIG);
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0)
		return weir_error(errno, "the terminal cannot be set: %s", strerror(errno));
	return 0;
}

struct console *
console_open(struct control *control)
{
	struct console *console = calloc(1, sizeof(*console));
	int rc;

	if (console == NULL) {
		rte_errno = -weir_error(ENOMEM, "no memory for the console");
		return NULL;
	}
	console->control = control;
	console->line = rdline_new(write_char, run_line, complete_line, console);
	rc = console->line == NULL ? weir_error(ENOMEM, "no memory for the console")
				   : terminal_take(console);
	if (rc != 0) {
		rdline_free(console->line);
		free(console);
		rte_errno = -rc;
		return NULL;
	}
	rdline_newline(console->line, PROMPT);
	return console;
}

void
console_close(struct console *console)
{
	if (console == NULL)
		return;
	if (console->is_terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &console->before);
	rdline_free(console->line);
	free(console);
}

bool
console_read(struct console *console)
{
	char text[256];
	ssize_t i, len;
	int rc;

	len = read(STDIN_FILENO, text, sizeof(text));
	if (len < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	for (i = 0; i < len; i++) {
		rc = rdline_char_in(console->line, text[i]);
		if (rc == RDLINE_RES_EOF || rc == RDLINE_RES_EXITED)
			return false;
		if (rc == RDLINE_RES_VALIDATED) {
			rdline_add_history(console->line, rdline_get_buffer(console->line));
			rdline_newline(console->line, PROMPT);
		}
	}
	return len > 0;
}
