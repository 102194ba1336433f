/* SPDX-License-Identifier: BSD-3-Clause */
#include "weir_sanitize.h"

#ifdef WEIR_SANITIZE_THREAD
int weir_sanitize_heap;
#endif
