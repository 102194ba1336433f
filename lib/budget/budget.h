/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BUDGET_H
#define BUDGET_H

/* What the files of the room share. */

#include <stdint.h>

#include <rte_bitops.h>
#include <rte_common.h>

#include "weir_budget.h"
#include "weir_lock.h"
#include "weir_object.h"

/** Who waits for a fair budget, by ticket. */
struct budget_line {
	struct weir_lock lock;
	uint32_t next;				  /* ticket of who comes next */
	uint32_t serving;			  /* ticket of who is first in line */
	uint64_t gone[WEIR_BUDGET_LINE_MAX / 64]; /* tickets behind it that left the line */
};

struct weir_budget {
	/* Constant. */
	struct weir_object object;
	struct weir_budget *parent, *root;
	bool fair;

	/* Written by everyone who reserves. */
	uint64_t used __rte_cache_aligned;
	uint64_t limit;
	uint64_t peak;
	uint32_t shutdown;
	/* In the root, for the whole tree. */
	uint32_t waiters; /* threads, and armed watches */
	uint32_t room;	  /* futex: changes when a waiter may have a new answer */

	/* Seldom written. */
	uint64_t refusals __rte_cache_aligned;
	uint64_t waits;
	uint32_t n_children;
	struct budget_line line;
};

/* budget.c */

/** What a try would say, without taking anything. */
int budget_look(const struct weir_budget *budget, uint64_t bytes);
/** Reserve, whoever is in line; no counting. */
int budget_take(struct weir_budget *budget, uint64_t bytes);
/** Tell all who wait in the tree to look again. */
void budget_wake(struct weir_budget *root);

/* watch.c */

/** Signal the armed watches of a tree. */
void watches_signal(struct weir_budget *root);

#endif
