/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ENDPOINT_ENV_H
#define ENDPOINT_ENV_H

/**
 * What the conformance test must know of a type to run on it: how to create one,
 * and how to have frames come from its far side.
 */

#include "plain_guest.h"

struct env {
	const char *title;
	const char *keys;
	/** NULL, or why the type cannot run here; may prepare the process for it. */
	const char *(*missing)(void);
	/** After the endpoint is there, and before it goes. */
	void (*open)(struct env *env);
	void (*close)(struct env *env);
	/**
	 * Have @p n frames of @p len bytes come to pair 0 of the guest.
	 * @return How many the far side could send; the rest has not left.
	 *	   NULL member: no frame ever comes.
	 */
	uint16_t (*feed)(struct env *env, uint16_t n, uint32_t len);

	bool feeds_itself;     /* what comes is what the guest sent */
	uint16_t n_queues_max; /* that it can have here; 0: as many as a guest */

	struct weir_endpoint *endpoint;
	struct plain_guest *guest; /* under test: polled by the test's thread */
	struct plain_target here;
	struct plain_guest *peer;  /* patch */
	struct plain_target there; /* patch between lcores */
	int socket;		   /* tap, dgram */
	uint64_t sequence;
};

/** The table of types, ended by one without title. */
extern struct env envs[];

#endif
