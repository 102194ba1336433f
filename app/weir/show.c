/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the console shows is what telemetry tells: the console asks weir's own telemetry
 * socket, and prints the answer without the marks of JSON. So the two cannot differ, and
 * a room that shows itself does so once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_eal.h>

#include "control.h"
#include "weir_error.h"
#include "weir_object.h"

/* What the library sends at most (rte_telemetry, 22.11: MAX_OUTPUT_LEN). */
#define ANSWER_SIZE (16 << 10)
/* A second weir without files on disk has its socket under the same name with a number. */
#define SOCKETS_MAX 16
#define NAMES_MAX 1024
/* Of each object, what a line of a list shows. */
#define LINE_KEYS 4

/** Connect to our own socket, told from other processes' by what it says first. */
static int
telemetry_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = 5};
	char hello[1024], own[32];
	ssize_t len;
	int i, fd;

	snprintf(own, sizeof(own), "\"pid\":%d,", getpid());
	for (i = 0; i < SOCKETS_MAX; i++) {
		len = snprintf(address.sun_path, sizeof(address.sun_path), "%s/dpdk_telemetry.v2",
			       rte_eal_get_runtime_dir());
		if (i > 0)
			snprintf(address.sun_path + len, sizeof(address.sun_path) - len, ":%d", i);
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
			len = recv(fd, hello, sizeof(hello) - 1, 0);
			hello[len > 0 ? len : 0] = '\0';
			if (strstr(hello, own) != NULL)
				return fd;
		}
		close(fd);
	}
	return weir_error(ENOTCONN, "weir's telemetry does not answer, which show asks: is EAL's "
				    "--no-telemetry given, or are ten clients connected?");
}

/** Ask, and leave the value alone in @p answer: "null" when there is none. */
static int
telemetry_ask(int fd, const char *room, const char *verb, const char *name, char *answer)
{
	char command[128];
	ssize_t len;
	char *value;

	len = snprintf(command, sizeof(command), "/weir/%s/%s,%s", room, verb, name);
	if (send(fd, command, len, 0) != len || (len = recv(fd, answer, ANSWER_SIZE - 1, 0)) <= 0)
		return weir_error(EIO, "weir's telemetry does not answer %s", command);
	answer[len] = '\0';
	/* {"/weir/guest/info":VALUE} */
	value = strchr(answer, ':');
	if (value == NULL)
		return weir_error(EIO, "weir's telemetry answers %s with '%s'", command, answer);
	memmove(answer, value + 1, strlen(value));
	answer[strlen(answer) - 1] = '\0';
	return 0;
}

/** Past a string or a number; its text without quotes. */
static const char *
json_scalar(const char *at, const char **text, int *len)
{
	if (*at != '"') {
		*text = at;
		*len = (int)strcspn(at, ",]}");
		return at + *len;
	}
	for (*text = ++at; *at != '"' && *at != '\0'; at++)
		at += *at == '\\' && at[1] != '\0';
	*len = (int)(at - *text);
	return at + (*at == '"');
}

/** An object or a list, a key a line, what is inside another further in. */
static void
json_print(const char *at, FILE *out)
{
	bool list[16] = {false};
	unsigned int depth = 0;
	const char *text;
	int len;

	for (; *at != '\0'; at++) {
		if (*at == '{' || *at == '[') {
			if (++depth == RTE_DIM(list))
				return;
			list[depth] = *at == '[';
		} else if (*at == '}' || *at == ']') {
			if (list[depth])
				fprintf(out, "\n");
			depth--;
		} else if (*at == ',' || *at == ':') {
			continue;
		} else if (list[depth]) {
			at = json_scalar(at, &text, &len) - 1;
			fprintf(out, " %.*s", len, text);
		} else {
			at = json_scalar(at, &text, &len);
			fprintf(out, "%*s%.*s", (int)(2 * (depth - 1)), "", len, text);
			if (at[0] == ':' && (at[1] == '{' || at[1] == '[')) {
				fprintf(out, at[1] == '{' ? "\n" : "");
				continue;
			}
			at = json_scalar(at + 1, &text, &len) - 1;
			fprintf(out, " %.*s\n", len, text);
		}
	}
}

/** The first few keys of an object, in a line. */
static void
json_print_line(const char *at, FILE *out)
{
	unsigned int n;
	const char *text;
	int len;

	for (n = 0; n < LINE_KEYS && (*at == '{' || *at == ','); n++) {
		at = json_scalar(at + 1, &text, &len);
		if (*at != ':' || at[1] == '{' || at[1] == '[')
			break;
		fprintf(out, "%s%.*s ", n > 0 ? ", " : "", len, text);
		at = json_scalar(at + 1, &text, &len);
		fprintf(out, "%.*s", len, text);
	}
	fprintf(out, "\n");
}

static int
show_one(int fd, const char *room, const char *name, char *answer, FILE *out)
{
	int rc = telemetry_ask(fd, room, "info", name, answer);

	if (rc != 0)
		return rc;
	if (strcmp(answer, "null") == 0)
		return weir_error(ENOENT, "there is no %s '%s': show %s lists them", room, name,
				  room);
	json_print(answer, out);
	rc = telemetry_ask(fd, room, "stats", name, answer);
	if (rc == 0)
		json_print(answer, out);
	return rc;
}

static int
show_all(int fd, const char *room, char *answer, FILE *out)
{
	static char names[NAMES_MAX][WEIR_OBJECT_NAMESIZE];
	unsigned int i, n = weir_object_names(room, names, NAMES_MAX);
	int rc = 0;

	for (i = 0; rc == 0 && i < n; i++) {
		rc = telemetry_ask(fd, room, "info", names[i], answer);
		if (rc == 0 && *answer == '{')
			json_print_line(answer, out);
	}
	if (n == 0)
		fprintf(out, "there is no %s\n", room);
	return rc;
}

int
show_run(struct control *control, const struct control_command *command, char *const *args,
	 struct control_result *result)
{
	const char *room = strchr(command->words, ' ') + 1;
	static char answer[ANSWER_SIZE];
	int fd = telemetry_connect();
	int rc;

	if (fd < 0)
		return fd;
	rc = args[0] != NULL ? show_one(fd, room, args[0], answer, result->out)
			     : show_all(fd, room, answer, result->out);
	close(fd);
	return rc;
}
