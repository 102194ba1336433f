/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "poller.h"
#include "weir_error.h"

RTE_LOG_REGISTER(weir_poller_logtype, weir.poller, INFO);

static struct weir_poller *
poller_of(struct weir_object *object)
{
	return container_of(object, struct weir_poller, object);
}

static void
poller_info(struct weir_object *object, struct rte_tel_data *dict)
{
	struct weir_poller *poller = poller_of(object);
	struct rte_tel_data *names = rte_tel_data_alloc();
	unsigned int i;

	rte_tel_data_add_dict_u64(dict, "lcore", poller->target.lcore);
	rte_tel_data_add_dict_int(dict, "numa_node", poller->numa_node);
	rte_tel_data_add_dict_u64(dict, "pairs", poller->n_pairs);
	if (names == NULL)
		return;
	rte_tel_data_start_array(names, RTE_TEL_STRING_VAL);
	/* A pair is freed only after detach, and detach asks under this lock. */
	pthread_mutex_lock(&poller->control);
	for (i = 0; i < poller->n_pairs; i++)
		if (rte_tel_data_add_array_string(names, weir_pair_name(poller->pairs[i])) != 0)
			break;
	pthread_mutex_unlock(&poller->control);
	rte_tel_data_add_dict_container(dict, "polls", names, 0);
}

static void
poller_stats(struct weir_object *object, struct rte_tel_data *dict)
{
	static const char *const cause_keys[POLLER_CAUSES] = {
		[WEIR_PAIR_WAKE_TX] = "woken_by_tx_kick",
		[WEIR_PAIR_WAKE_RX] = "woken_by_rx_kick",
		[WEIR_PAIR_WAKE_ENDPOINT] = "woken_by_endpoint",
		[POLLER_CAUSE_CONTROL] = "woken_by_control",
		[POLLER_CAUSE_TIMER] = "woken_by_timer",
	};
	struct weir_poller *poller = poller_of(object);
	unsigned int i;

	rte_tel_data_add_dict_u64(dict, "busy_cycles", poller->busy_cycles);
	rte_tel_data_add_dict_u64(dict, "idle_cycles", poller->idle_cycles);
	rte_tel_data_add_dict_u64(dict, "loops", poller->loops);
	rte_tel_data_add_dict_u64(dict, "busy_loops", poller->busy_loops);
	rte_tel_data_add_dict_u64(dict, "moved", poller->packets);
	rte_tel_data_add_dict_u64(dict, "pairs_moved_here", poller->moved_here);
	rte_tel_data_add_dict_u64(dict, "sleep_cycles", poller->sleep.sleep_cycles);
	rte_tel_data_add_dict_u64(dict, "sleeps", poller->sleep.sleeps);
	rte_tel_data_add_dict_u64(dict, "idle_us_now",
				  poller->sleep.idle_cycles * 1000000 / rte_get_tsc_hz());
	for (i = 0; i < POLLER_CAUSES; i++)
		rte_tel_data_add_dict_u64(dict, cause_keys[i], poller->sleep.woken_by[i]);
	rte_tel_data_add_dict_u64(dict, "cycles_hz", rte_get_tsc_hz());
}

static struct weir_class poller_class = {
	.room = "poller",
	.info = poller_info,
	.stats = poller_stats,
};

WEIR_CLASS_REGISTER(poller_class);

/* The loop. */

static void
poller_answer(struct weir_poller *poller)
{
	poller->fn(poller->arg);
	/* Release: whoever asked sees what fn did. Partner: the acquire in poller_run(). */
	atomic_store_explicit(&poller->asked, false, memory_order_release);
}

static __rte_always_inline bool
poller_is_due(const struct weir_poller *poller, unsigned int i)
{
	return poller_looks_at(poller->n_pairs, i, poller->loop, poller->quiet[i]);
}

/** Look at pair @p i; frames moved. */
static __rte_always_inline unsigned int
poller_look(struct weir_poller *poller, unsigned int i)
{
	unsigned int moved = weir_pair_poll(poller->pairs[i]);

	poller->quiet[i] = moved > 0 ? 0 : RTE_MIN(poller->quiet[i] + 1, POLLER_QUIET_LOOKS);
	return moved;
}

/** Likewise, and see what each pair costs that has something to do. */
static unsigned int
poller_poll_timed(struct weir_poller *poller)
{
	unsigned int i, moved = 0, moved_here;
	uint64_t then = rte_rdtsc(), now;

	poller->until_sample = POLLER_SAMPLE;
	for (i = 0; i < poller->n_pairs; i++) {
		if (!poller_is_due(poller, i))
			continue;
		moved_here = poller_look(poller, i);
		now = rte_rdtsc();
		if (moved_here > 0)
			poller->loads[i].cycles += (now - then) * POLLER_SAMPLE;
		then = now;
		moved += moved_here;
	}
	return moved;
}

/** Every pair whose turn it is; frames moved. */
static unsigned int
poller_poll(struct weir_poller *poller)
{
	unsigned int i, moved = 0;

	poller->loop++;
	if (unlikely(--poller->until_sample == 0))
		return poller_poll_timed(poller);

	for (i = 0; i < poller->n_pairs; i++)
		if (poller_is_due(poller, i))
			moved += poller_look(poller, i);
	return moved;
}

/** Every pair there is; frames moved. */
unsigned int
poller_poll_all(struct weir_poller *poller)
{
	unsigned int i, moved = 0;

	for (i = 0; i < poller->n_pairs; i++)
		moved += weir_pair_poll(poller->pairs[i]);
	return moved;
}

static int
poller_loop(void *arg)
{
	struct weir_poller *poller = arg;
	uint64_t then = rte_rdtsc(), now, slept;
	unsigned int moved;

	while (!atomic_load_explicit(&poller->quit, memory_order_relaxed)) {
		/* Acquire: fn and arg of whoever asked. Partner: the release in poller_run(). */
		if (unlikely(atomic_load_explicit(&poller->asked, memory_order_acquire)))
			poller_answer(poller);
		moved = poller_poll(poller);
		now = rte_rdtsc();
		weir_count(&poller->loops, 1);
		if (moved > 0) {
			weir_count(&poller->busy_loops, 1);
			weir_count(&poller->busy_cycles, now - then);
			weir_count(&poller->packets, moved);
			poller->sleep.idle_since = now;
			then = now;
			continue;
		}
		weir_count(&poller->idle_cycles, now - then);
		then = now;
		slept = poller->sleep.sleep_cycles;
		moved = sleep_when_idle(poller, now);
		if (poller->sleep.sleep_cycles != slept || moved > 0) {
			now = rte_rdtsc();
			weir_count(moved > 0 ? &poller->busy_cycles : &poller->idle_cycles,
				   now - then - (poller->sleep.sleep_cycles - slept));
			weir_count(&poller->packets, moved);
			then = now;
		}
	}
	return 0;
}

/* The mailbox. */

/**
 * A guest may hold the lcore, which then changes nothing of this. If it was merely slow, it may
 * answer just now: a pair that it lets go is there until poller_run() returns.
 */
static void
poller_free(struct weir_poller *poller)
{
	unsigned int i;

	for (i = 0; i < __atomic_load_n(&poller->n_pairs, __ATOMIC_ACQUIRE); i++)
		weir_pair_free_lcore(__atomic_load_n(&poller->pairs[i], __ATOMIC_RELAXED));
}

static void
poller_run(struct weir_target *target, void (*fn)(void *arg), void *arg)
{
	struct weir_poller *poller = container_of(target, struct weir_poller, target);
	const struct timespec step = {.tv_nsec = 20000};
	unsigned int steps = 0;

	pthread_mutex_lock(&poller->control);
	poller->fn = fn;
	poller->arg = arg;
	/* Release: the lcore sees fn and arg. Partner: the acquire in poller_loop(). */
	atomic_store_explicit(&poller->asked, true, memory_order_release);
	weir_wake_signal(&poller->sleep.wake);
	/* Waits in steps, so that answering costs the lcore no system call. */
	while (atomic_load_explicit(&poller->asked, memory_order_acquire)) {
		nanosleep(&step, NULL);
		if (++steps % 1000 == 0) /* some 80 ms */
			poller_free(poller);
		if (steps == 20000)
			WEIR_LOG(poller, WARNING, "lcore %u has not answered for a second",
				 target->lcore);
	}
	pthread_mutex_unlock(&poller->control);
}

struct change {
	struct weir_poller *poller;
	struct weir_pair *pair;
};

static void
change_attach(void *arg)
{
	struct change *change = arg;
	struct weir_poller *poller = change->poller;

	poller->loads[poller->n_pairs] = (struct poller_load){.attached = rte_rdtsc()};
	poller->quiet[poller->n_pairs] = 0;
	__atomic_store_n(&poller->pairs[poller->n_pairs], change->pair, __ATOMIC_RELAXED);
	/* Release: nobody looks at a pair that is not there. Partner: poller_free(). */
	__atomic_store_n(&poller->n_pairs, poller->n_pairs + 1, __ATOMIC_RELEASE);
}

static void
change_detach(void *arg)
{
	struct change *change = arg;
	struct weir_poller *poller = change->poller;
	unsigned int i, n = poller->n_pairs;

	for (i = 0; i < n; i++) {
		if (poller->pairs[i] == change->pair) {
			__atomic_store_n(&poller->pairs[i], poller->pairs[n - 1], __ATOMIC_RELAXED);
			__atomic_store_n(&poller->n_pairs, n - 1, __ATOMIC_RELAXED);
			poller->loads[i] = poller->loads[n - 1];
			poller->quiet[i] = poller->quiet[n - 1];
			return;
		}
	}
}

void
poller_attach(struct weir_poller *poller, struct weir_pair *pair)
{
	struct change change = {poller, pair};

	poller_run(&poller->target, change_attach, &change);
}

void
poller_detach(struct weir_poller *poller, struct weir_pair *pair)
{
	struct change change = {poller, pair};

	poller_run(&poller->target, change_detach, &change);
}

int
poller_start(struct weir_poller *poller, unsigned int lcore, uint32_t idle_us)
{
	char name[WEIR_OBJECT_NAMESIZE];
	int rc;

	memset(poller, 0, sizeof(*poller));
	pthread_mutex_init(&poller->control, NULL);
	poller->until_sample = POLLER_SAMPLE;
	poller->target.run = poller_run;
	poller->target.lcore = lcore;
	poller->numa_node = (int)rte_lcore_to_socket_id(lcore);
	rc = sleep_init(poller, idle_us);
	if (rc != 0)
		return rc;
	snprintf(name, sizeof(name), "lcore%u", lcore);
	rc = weir_object_add(&poller_class, &poller->object, name);
	if (rc != 0) {
		sleep_fini(poller);
		return rc;
	}
	rc = rte_eal_remote_launch(poller_loop, poller, lcore);
	if (rc != 0) {
		weir_object_remove(&poller_class, &poller->object);
		sleep_fini(poller);
		return weir_error(-rc, "lcore %u runs something else already", lcore);
	}
	return 0;
}

void
poller_stop(struct weir_poller *poller)
{
	atomic_store_explicit(&poller->quit, true, memory_order_relaxed);
	weir_wake_signal(&poller->sleep.wake);
	rte_eal_wait_lcore(poller->target.lcore);
	weir_object_remove(&poller_class, &poller->object);
	sleep_fini(poller);
	pthread_mutex_destroy(&poller->control);
}
