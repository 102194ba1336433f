/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory that is not there: a front-end that truncates the file behind it has
 * whoever touches it next, lcore or vhost thread, sent SIGBUS.
 *
 * The page is replaced by one of zeros, which is ours and stays until the library
 * unmaps the region, and the guest is marked: its pairs are not polled any more, and
 * the control side ends the session. Whoever was interrupted goes on with zeros, which
 * are hostile like anything else in guest memory.
 *
 * A system call on such memory gives EFAULT and no signal: who made it touches the
 * memory itself then (drivers/net/tap).
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <rte_vhost.h>

#include "guest.h"

/* As many as the vhost library serves. */
#define FAULT_GUESTS_MAX 1024
#define FAULT_PAGE_MIN 4096
#define FAULT_PAGE_MAX (1UL << 30)

static _Atomic(struct weir_guest *) fault_guests[FAULT_GUESTS_MAX];
/* Handlers that look at them now. */
static atomic_uint fault_readers;
/* Whose memory this thread works on, whether it is known yet or not. */
static __thread struct weir_guest *fault_suspect;

static pthread_once_t fault_once = PTHREAD_ONCE_INIT;
static struct sigaction fault_previous;

/* The handler: nothing but atomics and system calls. */

static bool
fault_is_in(const struct weir_guest *guest, uintptr_t addr)
{
	uint32_t i;

	for (i = 0; i < guest->fault.n_ranges; i++)
		if (addr - guest->fault.ranges[i].start < guest->fault.ranges[i].size)
			return true;
	return false;
}

/** Have nobody poll the guest any more. */
static void
fault_break(struct weir_guest *guest)
{
	uint16_t i;

	atomic_store(&guest->fault.happened, true);
	for (i = 0; i < guest->n_pairs; i++)
		if (guest->pairs[i] != NULL)
			guest->pairs[i]->broken = FAULT_TEXT;
}

/** Put zeros where nothing is: a page, of the size that the mapping has. */
static bool
fault_replace(uintptr_t addr)
{
	uintptr_t size;

	for (size = FAULT_PAGE_MIN; size <= FAULT_PAGE_MAX; size <<= 9) {
		if (mmap((void *)RTE_ALIGN_FLOOR(addr, size), size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
			 0) != MAP_FAILED)
			return true;
		if (errno != EINVAL)
			return false;
	}
	return false;
}

static bool
fault_handle(uintptr_t addr)
{
	struct weir_guest *guest = NULL;
	unsigned int i;

	atomic_fetch_add(&fault_readers, 1);
	for (i = 0; i < FAULT_GUESTS_MAX; i++) {
		guest = fault_guests[i];
		if (guest != NULL && fault_is_in(guest, addr))
			break;
	}
	if (i == FAULT_GUESTS_MAX)
		guest = fault_suspect;
	if (guest != NULL && fault_replace(addr))
		fault_break(guest);
	else
		guest = NULL;
	atomic_fetch_sub(&fault_readers, 1);
	return guest != NULL;
}

static void
fault_signal(int number, siginfo_t *info, void *context)
{
	int saved = errno;
	bool handled = info->si_code > 0 && fault_handle((uintptr_t)info->si_addr);

	errno = saved;
	if (handled)
		return;
	if (fault_previous.sa_flags & SA_SIGINFO) {
		fault_previous.sa_sigaction(number, info, context);
	} else if (fault_previous.sa_handler != SIG_DFL && fault_previous.sa_handler != SIG_IGN) {
		fault_previous.sa_handler(number);
	} else {
		/* Nobody's: ends the program as if we had never been here. */
		signal(number, SIG_DFL);
		raise(number);
	}
}

static void
fault_install(void)
{
	struct sigaction action = {.sa_sigaction = fault_signal, .sa_flags = SA_SIGINFO};

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, &fault_previous);
}

/* The control side. */

void
fault_catch(void)
{
	pthread_once(&fault_once, fault_install);
}

void
fault_suspect_guest(struct weir_guest *guest)
{
	fault_suspect = guest;
}

static void
fault_add_range(struct weir_guest *guest, uintptr_t start, size_t size)
{
	struct guest_fault *fault = &guest->fault;

	if (size > 0 && fault->n_ranges < RTE_DIM(fault->ranges))
		fault->ranges[fault->n_ranges++] = (struct fault_range){start, size};
}

/** What the front-end has mapped here, from the library. */
void
fault_find_ranges(struct weir_guest *guest)
{
	struct rte_vhost_memory *mem = NULL;
	uint64_t base = 0, size = 0;
	uint32_t i;

	guest->fault.n_ranges = 0;
	if (rte_vhost_get_log_base(guest->vid, &base, &size) == 0 && base != 0)
		fault_add_range(guest, base, size);
	if (rte_vhost_get_mem_table(guest->vid, &mem) != 0)
		return;
	for (i = 0; i < mem->nregions; i++)
		fault_add_range(guest, (uintptr_t)mem->regions[i].mmap_addr,
				mem->regions[i].mmap_size);
	free(mem);
}

void
fault_watch(struct weir_guest *guest)
{
	struct weir_guest *none;
	unsigned int i;

	for (i = 0; i < FAULT_GUESTS_MAX; i++) {
		none = NULL;
		if (atomic_compare_exchange_strong(&fault_guests[i], &none, guest))
			return;
	}
}

void
fault_forget(struct weir_guest *guest)
{
	unsigned int i;

	for (i = 0; i < FAULT_GUESTS_MAX; i++)
		if (fault_guests[i] == guest)
			fault_guests[i] = NULL;
	while (fault_readers != 0)
		sched_yield();
}
