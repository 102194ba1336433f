/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "weir_error.h"

static __thread char error_text[WEIR_ERROR_TEXTSIZE];

int
weir_error(int err, const char *fmt, ...)
{
	/* Built aside, because an argument may be the earlier sentence. */
	char text[WEIR_ERROR_TEXTSIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(error_text, text, sizeof(text));
	return -err;
}

const char *
weir_error_text(void)
{
	return error_text;
}
