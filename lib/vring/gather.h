/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GATHER_H
#define GATHER_H

#include "ring.h"

/** A chain walked to its end. */
struct gather {
	uint64_t total;	   /* bytes of the pieces */
	uint32_t n_pieces; /* at vr->scratch */
	uint32_t n_descs;  /* of the ring itself */
	uint32_t walked;   /* descriptors read, those of an indirect table included */
	uint16_t id;	   /* to give back: split the head, packed the last one's buffer id */
	bool too_many;	   /* more pieces than WEIR_VRING_SEGMENTS_MAX: the rest is left out */
};

/**
 * Walk a chain of any shape from its fetched head, check and translate all of it.
 *
 * @return
 *   false: it breaks a rule, the ring is stopped.
 */
bool gather(struct weir_vring *vr, const struct head *head, struct gather *g);

#endif
