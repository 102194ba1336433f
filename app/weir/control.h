/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_H
#define CONTROL_H

/*
 * Run-time control: one table of commands, from which the console, its help and
 * completion, the telemetry words, the start-up file and the manual are made.
 *
 *   control.c            finds and runs a command, one at a time whoever asks
 *   commands.c           the table
 *   show.c               what `show` prints
 *   console.c            lines from a terminal
 *   console_complete.c   what TAB and ? say
 *   control_telemetry.c  the same words on the telemetry socket
 *
 * A command has taken effect when it is answered.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "backend.h"

#define CONTROL_ARGS_MAX 4
#define CONTROL_RESULTS_MAX 8

/** What a command answers when it has succeeded: a few keys and values. */
struct control_result {
	unsigned int n;
	struct {
		const char *key;
		bool is_number;
		uint64_t number;
		char text[128]; /* what a telemetry dictionary holds */
	} entries[CONTROL_RESULTS_MAX];
	FILE *out; /* for what is printed as it is; NULL where nothing can be */
};

struct control {
	struct backend *backend;
	pthread_mutex_t lock; /* of the backend */
	pthread_cond_t back;  /* a command that waited beside others has the lock again */
	unsigned int n_beside;
	bool closed; /* with the lock held: the backend is no more */
	atomic_bool quit;
};

struct control_command {
	/** As typed; on the telemetry socket /weir/add/guest. */
	const char *words;
	/**
	 * Its arguments by kind, "GUEST ENDPOINT"; in brackets what may be left out. The
	 * kind is also what completes it: see console_complete.c.
	 */
	const char *args;
	/** What it does, in a line that is short enough for telemetry's help. */
	const char *help;
	/** Answered by the console only: telemetry has words of its own for it. */
	bool console_only;
	/** @p args are NULL from the first that was left out. */
	int (*run)(struct control *control, const struct control_command *command,
		   char *const *args, struct control_result *result);
};

/** The table in the order of help; NULL past the last. */
const struct control_command *control_command(unsigned int index);
/** A command a line, with its arguments and what it does. */
void control_help(FILE *out);

void control_init(struct control *control, struct backend *backend);
/** No command runs any more when it returns, and none will. */
void control_close(struct control *control);
void control_tend(struct control *control);

/**
 * For a command that waits long for something else than the backend: have other commands
 * run until control_go_on(), which looks after the guests as well. Of the backend it knows
 * nothing any more then.
 */
void control_let_others(struct control *control);
void control_go_on(struct control *control);

/**
 * Run a command with its arguments.
 *
 * Any control thread; waits for the command that runs.
 *
 * @return 0, or negative errno with weir_error_text().
 */
int control_run(struct control *control, const struct control_command *command, char *const *args,
		unsigned int n_args, struct control_result *result);

/**
 * Run a line of a console or a file, and print its result. A # begins a comment; an
 * empty line does nothing.
 *
 * @return As control_run().
 */
int control_line(struct control *control, const char *line, FILE *out);

/**
 * Run the lines of a file, up to the first that fails.
 *
 * @return As control_run(); the sentence names the line.
 */
int control_file(struct control *control, const char *path);

void control_result_text(struct control_result *result, const char *key, const char *text);
void control_result_number(struct control_result *result, const char *key, uint64_t number);

/** The n-th word of a text of words; false past the last. */
bool control_word(const char *text, unsigned int n, const char **word, size_t *len);
/** How many words. */
unsigned int control_words(const char *text);

/* show.c */
int show_run(struct control *control, const struct control_command *command, char *const *args,
	     struct control_result *result);

/* control_telemetry.c; once */
void control_telemetry_register(struct control *control);

#endif
