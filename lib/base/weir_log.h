/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H

/**
 * Log types of the rooms: one `weir.<room>` each, set with EAL's
 * --log-level=weir.<room>:<level>.
 *
 * A room defines its type once with WEIR_LOG_REGISTER() in one of its files and
 * names it with WEIR_LOG_DECLARE() in the others. Any thread. A line is a whole
 * sentence about a named object; the data path never logs.
 */

#include <rte_log.h>

#define WEIR_LOG_REGISTER(room) RTE_LOG_REGISTER(weir_##room##_logtype, weir.room, INFO)

#define WEIR_LOG_DECLARE(room) extern int weir_##room##_logtype

/** Log one line; the newline is added here. */
#define WEIR_LOG(room, level, fmt, ...)                                                            \
	rte_log(RTE_LOG_##level, (uint32_t)weir_##room##_logtype, "weir." #room ": " fmt "\n",     \
		##__VA_ARGS__)

#endif
