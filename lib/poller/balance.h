/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BALANCE_H
#define BALANCE_H

/*
 * Which lcore polls which pair: decided over a description, so that it can be tried on
 * machines that are not there. Nothing here measures, waits or moves.
 *
 * A pair is at home on the lcores of its guest's memory's node; where that has no lcore,
 * everywhere.
 */

#include <stdbool.h>

/** An lcore without so much to do, of 1000, is left alone: nobody waits for it. */
#define BALANCE_BUSY 500
/** What must be gained, in percent of the busier lcore's load. */
#define BALANCE_GAIN 20

struct balance_lcore {
	int numa_node;
	unsigned int n_pairs; /* for balance_place() */
	bool is_full;	      /* takes none any more */
};

struct balance_pair {
	unsigned int lcore; /* index */
	unsigned int load;  /* of 1000: the part of its lcore's time that it has used */
	int numa_node;	    /* of its guest's memory, or SOCKET_ID_ANY */
	bool rests;	    /* came to its lcore a moment ago: stays */
};

struct balance_move {
	unsigned int pair, lcore; /* indices */
};

/** The lcore for one more pair: at home, and with the fewest; or @p n when all are full. */
unsigned int balance_place(const struct balance_lcore *lcores, unsigned int n, int numa_node);

/** Whether a pair of this memory is at home on lcore @p at. */
bool balance_is_home(const struct balance_lcore *lcores, unsigned int n, unsigned int at,
		     int numa_node);

/**
 * The move that gains most, if one is worth it: a pair comes home to an lcore that has
 * the time for it, or from a busy lcore to one that is less so.
 */
bool balance_pick(const struct balance_lcore *lcores, unsigned int n_lcores,
		  const struct balance_pair *pairs, unsigned int n_pairs,
		  struct balance_move *move);

#endif
