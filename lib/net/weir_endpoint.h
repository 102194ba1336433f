/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_ENDPOINT_H
#define WEIR_ENDPOINT_H

/**
 * Endpoint: a place on the host side that frames go to and come from.
 *
 * Life of one: weir_endpoint_create() parses its keys and opens it; guests that
 * come get queues from it, guests that go stop theirs; weir_endpoint_free()
 * closes it when no guest has queues left. All of this runs on control threads
 * (main, vhost); only the queues run on poll lcores.
 *
 * A driver is one file that defines a const ops table and registers it; see
 * drivers/net/null for the smallest.
 *
 * @see seeds: Queue, "created by Endpoint::get_queues"
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_telemetry.h>

#include "weir_keys.h"
#include "weir_object.h"
#include "weir_queue.h"

/** Queue pairs of one guest, at most. */
#define WEIR_QUEUES_MAX 16

enum weir_endpoint_action {
	WEIR_ENDPOINT_RESTART, /* stop, and get queues again */
	WEIR_ENDPOINT_LINK,    /* the link went up or down */
};

/**
 * A guest, as an endpoint sees it. Owned by the guest port; valid from
 * get_queues to the return of stop.
 */
struct weir_endpoint_client {
	const char *name;     /* of the guest */
	uint16_t n_queues;    /* pairs, 1 to WEIR_QUEUES_MAX */
	uint16_t mtu;	      /* largest Ethernet payload */
	uint32_t rx_offloads; /* what the guest takes unfinished: WEIR_OFFLOAD_CAP_* */
	int numa_node;	      /* of its memory, or SOCKET_ID_ANY */
	struct weir_access *access[WEIR_QUEUES_MAX]; /* one a pair */
	struct weir_target *target[WEIR_QUEUES_MAX]; /* likewise */
	/** The endpoint wants something; any thread that may block, never inside a call. */
	void (*action)(struct weir_endpoint_client *client, enum weir_endpoint_action action,
		       bool link_up);
};

/** A driver. Every member is set, but accept and tend; the table is const. */
struct weir_endpoint_ops {
	const char *type;	 /* as in type=tap */
	const char *usage;	 /* its keys, one "key=VALUE  what" a line; "" for none */
	const char *const *keys; /* NULL-ended, beside name and type */
	size_t state_size;	 /* bytes of zeroed state, see weir_endpoint_state() */
	uint16_t max_clients;	 /* guests at once; 0: any number */
	bool is_ordered;	 /* frames of one flow keep their order */
	bool fast_completions;	 /* tx is done when tx_avail returns */
	bool multiqueue;

	/** 0, or negative errno with the reason by weir_error(); then nothing is left open. */
	int (*open)(struct weir_endpoint *endpoint, const struct weir_keys *keys);
	void (*close)(struct weir_endpoint *endpoint);
	/**
	 * Whether it can serve such a guest, as far as it knows before one is there: asked
	 * when a guest is configured, with its name, n_queues and mtu. 0, or negative errno
	 * with the reason. NULL: any.
	 */
	int (*accept)(const struct weir_endpoint *endpoint,
		      const struct weir_endpoint_client *client);
	/**
	 * Make client->n_queues queues. On failure none, with the reason.
	 */
	int (*get_queues)(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
			  struct weir_queue **queues);
	/**
	 * Free them. The client's own lcores have let go; on return nothing of the
	 * client, its ids, memory and access, is held anywhere.
	 */
	void (*stop)(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
		     struct weir_queue **queues);
	/**
	 * Look after what nobody tells of, ten times a second: a link without an interrupt.
	 * Does not block. NULL: nothing.
	 */
	void (*tend)(struct weir_endpoint *endpoint);
	/** Offloads that tx frames may carry into it. */
	uint32_t (*tx_offloads)(const struct weir_endpoint *endpoint);
	/** Mbit/s, or 0 for a link that has no speed. */
	uint32_t (*link_speed)(const struct weir_endpoint *endpoint);
	bool (*link_up)(const struct weir_endpoint *endpoint);
	/** What tells about it: added to a started dict. */
	void (*inspect)(const struct weir_endpoint *endpoint, struct rte_tel_data *dict);
};

/**
 * Make a driver known. Ends the program when a member is missing, the type is
 * taken or the table is full.
 */
void weir_endpoint_register(const struct weir_endpoint_ops *ops);

#define WEIR_ENDPOINT_REGISTER(ops)                                                                \
	RTE_INIT(weir_endpoint_register_##ops)                                                     \
	{                                                                                          \
		weir_endpoint_register(&(ops));                                                    \
	}

/** The driver at @p index, in order of type, or NULL past the last: for --help. */
const struct weir_endpoint_ops *weir_endpoint_driver(unsigned int index);

/**
 * Create from `name=up,type=tap,...`.
 *
 * Control threads. Every key is checked before anything is opened.
 *
 * @return
 *   The endpoint, or NULL with rte_errno and weir_error_text(): EINVAL a wrong,
 *   missing or doubled word; EEXIST the name is taken; or what the driver met.
 */
struct weir_endpoint *weir_endpoint_create(const char *keys);

/** Close and free; accepts NULL. No guest has queues from it any more. */
void weir_endpoint_free(struct weir_endpoint *endpoint);

/** By name, or NULL. */
struct weir_endpoint *weir_endpoint_find(const char *name);

const char *weir_endpoint_name(const struct weir_endpoint *endpoint);
const struct weir_endpoint_ops *weir_endpoint_ops(const struct weir_endpoint *endpoint);
/** The driver's state, zeroed, of ops->state_size bytes. */
void *weir_endpoint_state(const struct weir_endpoint *endpoint);

/**
 * Reserve one of ops->max_clients places, at configuration time, so that two
 * guests on one tap are an error of the command line and not of the second boot.
 *
 * @return 0, or -EBUSY with the reason.
 */
int weir_endpoint_claim(struct weir_endpoint *endpoint, const char *guest);
/** Undo weir_endpoint_claim(). */
void weir_endpoint_unclaim(struct weir_endpoint *endpoint, const char *guest);

/** ops->accept, and whether the type has as many queue pairs; 0, or the reason. */
int weir_endpoint_accept(const struct weir_endpoint *endpoint,
			 const struct weir_endpoint_client *client);

/**
 * ops->get_queues; see there. The driver sets ops and wake_fd of each queue it
 * makes; endpoint, target and index are filled in here, before anyone polls it.
 */
int weir_endpoint_get_queues(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
			     struct weir_queue **queues);
/**
 * For a driver's get_queues: @p n zeroed queues of @p queue_size bytes, each on
 * cache lines of its own, with a struct weir_queue as the first member, its ops
 * set and its wake_fd -1.
 *
 * @return 0, or -ENOMEM with the reason and nothing allocated.
 */
int weir_queues_alloc(struct weir_endpoint *endpoint, const struct weir_queue_ops *ops,
		      size_t queue_size, struct weir_queue **queues, uint16_t n);
/** Undo weir_queues_alloc(). */
void weir_queues_free(struct weir_queue **queues, uint16_t n);

/** ops->stop; the queues' counters are kept and go on in the endpoint's. */
void weir_endpoint_stop(struct weir_endpoint *endpoint, struct weir_endpoint_client *client,
			struct weir_queue **queues);

/** ops->tend; control threads. */
void weir_endpoint_tend(struct weir_endpoint *endpoint);

/** Count from zero again. Any thread; the lcores that count do not notice. */
void weir_endpoint_clear_stats(struct weir_endpoint *endpoint);

/** Sum over the queues there are and those that were, since cleared. Any thread. */
void weir_endpoint_stats(struct weir_endpoint *endpoint, struct weir_queue_stats *stats);

#endif
