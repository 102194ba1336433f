/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONSOLE_H
#define CONSOLE_H

/*
 * The console: lines from standard input, edited and completed by DPDK's cmdline
 * library, run by control.h. The main thread.
 */

#include "control.h"

/* cmdline's RDLINE_BUF_SIZE: a longer line arrives cut. */
#define CONSOLE_LINE_MAX 511

struct console;

/** NULL with rte_errno and weir_error_text(). */
struct console *console_open(struct control *control);
/** Give the terminal back as it was; accepts NULL. */
void console_close(struct console *console);

/**
 * Standard input is readable: take what is there, and run the lines in it.
 *
 * @return False when it has ended: nobody will type any more.
 */
bool console_read(struct console *console);

/* console_complete.c */

/**
 * What can stand at the end of @p line, as rdline asks for it.
 *
 * @param state
 *   0: complete, or list the choices; -1: list them. Kept by the caller from call to call.
 * @return 2: @p dst is to be appended; 1: @p dst is a choice to show, ask again; 0: no more.
 */
int console_complete(const char *line, char *dst, unsigned int size, int *state);

#endif
