/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_OBJECT_H
#define WEIR_OBJECT_H

/**
 * Named objects: guests, endpoints, pollers, budgets, pools.
 *
 * All state lives in named objects; a class keeps the list of its live ones and
 * shows them on the DPDK telemetry socket as
 *
 *   /weir/<room>/list             the names
 *   /weir/<room>/info,NAME        what it is and why it is not up
 *   /weir/<room>/stats,NAME       its counters
 *
 * Any thread may add, remove and look up. Telemetry runs on its own thread, with
 * the class locked: an object that has been removed is no longer seen.
 */

#include <pthread.h>
#include <sys/queue.h>

#include <rte_common.h>
#include <rte_telemetry.h>

/** Longest name with its terminator; a telemetry parameter and a log line hold it. */
#define WEIR_OBJECT_NAMESIZE 32

struct weir_object {
	TAILQ_ENTRY(weir_object) next;
	char name[WEIR_OBJECT_NAMESIZE];
};

struct weir_class {
	/** The room's noun, as in /weir/<room>/list. */
	const char *room;
	/** What one object is; called with the class locked; adds to a started dict. */
	void (*info)(struct weir_object *object, struct rte_tel_data *dict);
	/** Its counters; likewise. */
	void (*stats)(struct weir_object *object, struct rte_tel_data *dict);

	/* Set by weir_class_register(). */
	pthread_mutex_t lock;
	TAILQ_HEAD(, weir_object) objects;
};

/**
 * Make a class known and register its telemetry commands.
 *
 * Before EAL starts. Ends the program when the class cannot be registered: a
 * part that is silently absent serves nobody.
 */
void weir_class_register(struct weir_class *class);

#define WEIR_CLASS_REGISTER(class)                                                                 \
	RTE_INIT(weir_class_register_##class)                                                      \
	{                                                                                          \
		weir_class_register(&(class));                                                     \
	}

/**
 * Whether @p name can name an object: 1 to 31 letters, digits, '.', '_', '-'.
 *
 * @return
 *   0, or -EINVAL with the reason in weir_error_text().
 */
int weir_object_check_name(const char *name);

/**
 * Name an object and add it to its class.
 *
 * @return
 *   - 0: visible until weir_object_remove()
 *   - -EINVAL: not a usable name
 *   - -EEXIST: the class has an object of this name
 *   Both leave a sentence in weir_error_text().
 */
int weir_object_add(struct weir_class *class, struct weir_object *object, const char *name);

/** Undo weir_object_add(); after return telemetry does not touch the object. */
void weir_object_remove(struct weir_class *class, struct weir_object *object);

/**
 * Find by name.
 *
 * @return
 *   The object, which stays valid only while its owner keeps it, or NULL.
 */
struct weir_object *weir_object_find(struct weir_class *class, const char *name);

/**
 * The names of a room's objects, in the order in which they were added: to list them,
 * or to complete what a user types.
 *
 * @return
 *   Names set, at most @p max; 0 when no class has this @p room.
 */
unsigned int weir_object_names(const char *room, char (*names)[WEIR_OBJECT_NAMESIZE],
			       unsigned int max);

#endif
