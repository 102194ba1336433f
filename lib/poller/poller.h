/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef POLLER_H
#define POLLER_H

/*
 * What the files of this room share: poller.c is one lcore's loop, sleep.c how it
 * sleeps, scheduler.c gives pairs to the loops, spread.c moves them as they are busy,
 * balance.c decides both.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "weir_log.h"
#include "weir_poller.h"
#include "weir_wake.h"

WEIR_LOG_DECLARE(poller);

/** Pairs one lcore can own. */
#define POLLER_PAIRS_MAX 1024

/** What ended a sleep; as in enum weir_pair_wake, then our own. */
enum poller_cause {
	POLLER_CAUSE_CONTROL = WEIR_PAIR_WAKES, /* a control thread asks for something */
	POLLER_CAUSE_TIMER,			/* a pair that has to be looked at */
	POLLER_CAUSES,
};

/** When and how long to sleep; the lcore's, but for the wake and the epoll set. */
struct poller_sleep {
	struct weir_wake wake; /* rung by whoever asks */
	struct weir_wake_word word;
	int epoll_fd; /* of the wake and every pair's descriptors; control threads change it */
	uint64_t idle_cycles_min, idle_cycles_max; /* 0: never sleeps */
	uint64_t idle_cycles;			   /* now */
	uint64_t idle_since;
	uint64_t sleeps, sleep_cycles;
	uint64_t woken_by[POLLER_CAUSES];
};

/** What a pair costs, measured in one loop of POLLER_SAMPLE. */
struct poller_load {
	uint64_t cycles;   /* since it was looked at, or attached */
	uint64_t attached; /* when */
};

/** A clock costs as much as an empty poll: a prime, so that no beat of traffic hides. */
#define POLLER_SAMPLE 17

/*
 * An empty look at a pair is some 43 cycles, which the busy pairs of its lcore pay for: where
 * there are many, one that had nothing for a while is looked at in one loop of some only.
 */
#define POLLER_MANY 16	      /* pairs */
#define POLLER_QUIET_LOOKS 64 /* without a frame: a burst's pause is not a while */
#define POLLER_QUIET_LOOPS 8  /* a power of two */

/** Whether pair @p i of @p n_pairs is looked at in loop @p loop after @p quiet empty looks. */
static inline bool
poller_looks_at(unsigned int n_pairs, unsigned int i, unsigned int loop, unsigned int quiet)
{
	return quiet < POLLER_QUIET_LOOKS || ((i ^ loop) & (POLLER_QUIET_LOOPS - 1)) == 0 ||
	       n_pairs < POLLER_MANY;
}

struct weir_poller {
	struct weir_object object;
	struct weir_target target; /* handed out; back by container_of */
	int numa_node;
	unsigned int n_placed; /* pairs promised or attached; scheduler's, under its lock */

	/* The mailbox: one request at a time, `asked` hands it over and back. */
	pthread_mutex_t control; /* of those who ask */
	void (*fn)(void *arg);
	void *arg;
	_Atomic bool asked;
	_Atomic bool quit;

	/* The lcore's. */
	struct weir_pair *pairs[POLLER_PAIRS_MAX] __rte_cache_aligned;
	unsigned int n_pairs;
	unsigned int until_sample;		    /* loops */
	unsigned int loop;			    /* counts on */
	uint8_t quiet[POLLER_PAIRS_MAX];	    /* empty looks at pairs */
	struct poller_load loads[POLLER_PAIRS_MAX]; /* of pairs */
	uint64_t looked;			    /* when the loads were */
	uint64_t busy_cycles, idle_cycles;
	uint64_t loops, busy_loops;
	uint64_t packets;
	struct poller_sleep sleep;
	uint64_t moved_here; /* pairs, by load; the control side's */
};

struct weir_pollers {
	struct weir_scheduler scheduler;
	pthread_mutex_t lock; /* of every n_placed */
	/* Spread by load: the last look. */
	uint64_t spread_at, spread_packets;
	unsigned int n;
	struct weir_poller pollers[] __rte_cache_aligned;
};

int poller_start(struct weir_poller *poller, unsigned int lcore, uint32_t idle_us);
void poller_stop(struct weir_poller *poller);
void poller_attach(struct weir_poller *poller, struct weir_pair *pair);
void poller_detach(struct weir_poller *poller, struct weir_pair *pair);

/* sleep.c */
int sleep_init(struct weir_poller *poller, uint32_t idle_us);
void sleep_fini(struct weir_poller *poller);
unsigned int sleep_when_idle(struct weir_poller *poller, uint64_t now);
int sleep_watch(struct weir_poller *poller, struct weir_pair *pair, enum weir_pair_wake wake,
		int fd);
void sleep_unwatch(struct weir_poller *poller, int fd);
unsigned int poller_poll_all(struct weir_poller *poller);

#endif
