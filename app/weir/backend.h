/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BACKEND_H
#define BACKEND_H

/*
 * What one weir serves: its lcores, its budget, and the endpoints and guests that come
 * and go while others forward.
 *
 * One control thread at a time; control.h sees to that.
 */

#include "options.h"
#include "weir_budget.h"
#include "weir_endpoint.h"
#include "weir_guest.h"
#include "weir_poller.h"

struct backend {
	struct weir_budget *budget;
	uint64_t promised_bytes; /* of frames, to the guests of the command line */
	struct weir_pollers *pollers;
	bool spread; /* pairs over lcores, by load */
	struct weir_endpoint *endpoints[OPTIONS_ENDPOINTS_MAX];
	unsigned int n_endpoints;
	struct weir_guest *guests[OPTIONS_GUESTS_MAX];
	unsigned int n_guests;
};

/**
 * Start what the command line names; nothing appears outside before every word is right.
 *
 * @return 0, or negative errno with weir_error_text(); either way backend_close() it.
 */
int backend_open(struct backend *backend, const struct options *options);
void backend_close(struct backend *backend);

/** Look after the guests, now and then. */
void backend_tend(struct backend *backend);

/**
 * Each has taken effect when it returns.
 *
 * @return 0, or negative errno with weir_error_text() and nothing changed.
 */
int backend_add_endpoint(struct backend *backend, const char *keys, struct weir_endpoint **added);
int backend_add_guest(struct backend *backend, const char *keys, struct weir_guest **added);
int backend_remove_endpoint(struct backend *backend, const char *name);
int backend_remove_guest(struct backend *backend, const char *name);

/** By name; -ENOENT with a sentence that says how to see the names. */
int backend_find_endpoint(struct backend *backend, const char *name,
			  struct weir_endpoint **endpoint);
int backend_find_guest(struct backend *backend, const char *name, struct weir_guest **guest);

#endif
