/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Spread by load: what each pair has used of its lcore's time since the last look is
 * fetched from the lcores, balance.c decides, weir_guest_move() moves.
 */
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_memory.h>

#include "balance.h"
#include "poller.h"
#include "weir_error.h"

/* Looks while a pair rests: each is long for a frame and short for a person. */
#define LOOKS_A_REST 5

struct spread_pair {
	struct weir_guest *guest;
	uint16_t index;
};

struct spread_look {
	struct weir_poller *poller;
	unsigned int lcore; /* index */
	struct balance_pair *pairs;
	struct spread_pair *who;
	unsigned int n;
	uint64_t rest_cycles;
};

/** Tell what the pairs have used, and begin anew; the lcore. */
static void
look_here(void *arg)
{
	struct spread_look *look = arg;
	struct weir_poller *poller = look->poller;
	uint64_t now = rte_rdtsc(), since, load;
	unsigned int i;

	for (i = 0; i < poller->n_pairs; i++) {
		struct poller_load *of = &poller->loads[i];
		const struct weir_pair *pair = poller->pairs[i];

		since = RTE_MAX(of->attached, poller->looked);
		load = of->cycles * 1000 / RTE_MAX(now - since, 1UL);
		of->cycles = 0;
		look->who[look->n] = (struct spread_pair){
			.guest = weir_pair_guest(pair),
			.index = weir_pair_index(pair),
		};
		look->pairs[look->n++] = (struct balance_pair){
			.lcore = look->lcore,
			.load = RTE_MIN(load, 1000UL),
			.numa_node = weir_pair_numa_node(pair),
			.rests = now - of->attached < look->rest_cycles,
		};
	}
	poller->looked = now;
}

static void
move_made(struct weir_pollers *pollers, const struct spread_look *look,
	  const struct balance_move *move)
{
	struct weir_poller *from = &pollers->pollers[look->pairs[move->pair].lcore];
	struct weir_poller *to = &pollers->pollers[move->lcore];
	const struct spread_pair *who = &look->who[move->pair];

	if (weir_guest_move(who->guest, who->index, to->target.lcore) != 0) {
		WEIR_LOG(poller, INFO, "%s", weir_error_text());
		return;
	}
	weir_count(&to->moved_here, 1);
	WEIR_LOG(poller, INFO,
		 "guest %s pair %u: moved from lcore %u to %u, by load: it used %u of 1000",
		 weir_guest_name(who->guest), who->index, from->target.lcore, to->target.lcore,
		 look->pairs[move->pair].load);
}

static unsigned int
pairs_look(struct weir_pollers *pollers, struct balance_lcore *lcores, struct spread_look *look)
{
	unsigned int i;

	for (i = 0; i < pollers->n; i++) {
		struct weir_poller *poller = &pollers->pollers[i];

		lcores[i] = (struct balance_lcore){.numa_node = poller->numa_node};
		look->poller = poller;
		look->lcore = i;
		poller->target.run(&poller->target, look_here, look);
	}
	return look->n;
}

void
weir_pollers_spread(struct weir_pollers *pollers, uint32_t rest_ms)
{
	uint64_t now = rte_rdtsc(), rest = rest_ms * (rte_get_tsc_hz() / 1000);
	unsigned int i, most = pollers->n * POLLER_PAIRS_MAX;
	struct spread_look look = {.rest_cycles = rest};
	struct balance_lcore *lcores;
	struct balance_move move;
	uint64_t moved = 0;

	if (pollers->n < 2 || now - pollers->spread_at < rest / LOOKS_A_REST)
		return;
	pollers->spread_at = now;
	/* An lcore that sleeps is not woken to tell that there was nothing. */
	for (i = 0; i < pollers->n; i++)
		moved += __atomic_load_n(&pollers->pollers[i].packets, __ATOMIC_RELAXED);
	if (moved == pollers->spread_packets)
		return;
	pollers->spread_packets = moved;
	lcores = calloc(pollers->n, sizeof(*lcores));
	look.pairs = calloc(most, sizeof(*look.pairs));
	look.who = calloc(most, sizeof(*look.who));
	if (lcores != NULL && look.pairs != NULL && look.who != NULL &&
	    pairs_look(pollers, lcores, &look) > 0 &&
	    balance_pick(lcores, pollers->n, look.pairs, look.n, &move))
		move_made(pollers, &look, &move);
	free(lcores);
	free(look.pairs);
	free(look.who);
}
