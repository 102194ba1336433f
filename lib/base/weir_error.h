/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_ERROR_H
#define WEIR_ERROR_H

/**
 * The one clear error of a control-side call.
 *
 * A failing call knows best what is wrong and what would be right, its caller
 * knows best where to say it (stderr, the console, a telemetry reply). So the
 * callee leaves one sentence here, per thread, and returns the errno; whoever
 * answers the user prints it. Never used on the data path.
 */

#define WEIR_ERROR_TEXTSIZE 512

/**
 * Leave the sentence that explains a failure, replacing an earlier one.
 *
 * @param err
 *   A positive errno.
 * @param fmt
 *   One line without newline: what is wrong, then what would be right.
 * @return
 *   -err, so that a failing call can end with `return weir_error(EINVAL, ...)`.
 */
int weir_error(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * The sentence last left by this thread.
 *
 * @return
 *   Never NULL; empty before the first failure. Valid until the next
 *   weir_error() of the same thread.
 */
const char *weir_error_text(void);

#endif
