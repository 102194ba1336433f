/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TAP_H
#define TAP_H

#include <errno.h>

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir_endpoint.h"

struct rte_ether_addr;

/**
 * The interface: made when the endpoint opens, so that what is wrong shows then,
 * and kept while guests come and go, with the addresses and routes it was given.
 *
 * Control threads. Every failure leaves its sentence; an errno is negative.
 */
struct tap_link {
	const char *owner; /* the endpoint's name, for the sentences */
	char iface[IFNAMSIZ];
	int netns;	 /* its namespace, or -1: the process's own */
	int control;	 /* a socket, for the calls that take an interface by name */
	int fd;		 /* the first queue: keeps the interface there */
	bool multiqueue; /* further queues can be attached */
};

/**
 * @param iface
 *   A name, or a template with %d for the first free number.
 * @param netns
 *   The namespace's name (ip netns add) or a process's number; NULL: our own.
 */
int tap_link_open(struct tap_link *link, const char *owner, const char *iface, const char *netns);
/** The interface goes as well, unless it was there before and is persistent. */
void tap_link_close(struct tap_link *link);
/** One more queue, put aside. @return Its file descriptor, or negative errno. */
int tap_link_add_queue(struct tap_link *link);
int tap_link_set_mac(struct tap_link *link, const struct rte_ether_addr *addr);
int tap_link_set_mtu(struct tap_link *link, uint16_t mtu);
int tap_link_set_up(struct tap_link *link);
/** What the kernel may leave for the guest to finish: WEIR_OFFLOAD_CAP_*. */
int tap_link_set_offloads(struct tap_link *link, uint32_t offloads);
/** A cable that is plugged in where there is a guest; older kernels always show one. */
void tap_link_set_carrier(struct tap_link *link, bool carrier);
bool tap_link_is_up(const struct tap_link *link);

/* The namespace of the link, for the calls that choose one: open and socket. */

int tap_netns_open(struct tap_link *link, const char *netns);
/** Have this thread be there; @p own is for tap_netns_leave(). @return 0, or negative errno. */
int tap_netns_enter(const struct tap_link *link, int *own);
void tap_netns_leave(int own);

/** Any thread. Whether the kernel hands frames to this queue. */
void tap_link_use_queue(int fd, bool use);

/**
 * A queue's file descriptor, and what is true of it however frames move through it.
 * The owner is whoever makes the system calls: the lcore, or an I/O thread.
 */
struct tap_file {
	int fd;
	bool multiqueue;
	bool gone; /* the interface was deleted; written by the owner */
	/* Written by tap_file_set_active(), on any thread. */
	bool active;
	uint32_t n_changes;
};

/** Control threads. What came for the guest before is read away. */
void tap_file_open(struct tap_file *file, int fd, bool multiqueue);
void tap_file_set_active(struct tap_file *file, bool active);

static inline bool
tap_file_is_active(const struct tap_file *file)
{
	return __atomic_load_n(&file->active, __ATOMIC_RELAXED);
}

static inline bool
tap_file_is_gone(const struct tap_file *file)
{
	return __atomic_load_n(&file->gone, __ATOMIC_RELAXED);
}

/** Before a system call, for tap_file_lost() after it. */
static inline uint32_t
tap_file_n_changes(const struct tap_file *file)
{
	return __atomic_load_n(&file->n_changes, __ATOMIC_ACQUIRE);
}

/**
 * EBADFD is the answer of a queue that was put aside, and of one whose interface
 * was deleted. It is the latter when nobody has put it aside meanwhile.
 */
static inline void
tap_file_lost(struct tap_file *file, uint32_t n_changes)
{
	if (tap_file_is_active(file) && tap_file_n_changes(file) == n_changes)
		__atomic_store_n(&file->gone, true, __ATOMIC_RELAXED);
}

/** Whether a write failed for want of memory: the frame waits, and is tried again. */
static inline bool
tap_write_is_busy(int err)
{
	return err == EAGAIN || err == EINTR || err == ENOBUFS || err == ENOMEM;
}

/** Offload flags the kernel knows. */
#define TAP_VNET_FLAGS (WEIR_OFFLOAD_NEEDS_CSUM | WEIR_OFFLOAD_DATA_VALID)

/** What can never be written: a tag beside the frame has no place in the header. */
static inline bool
tap_frame_is_sound(const struct weir_tx_segment *head)
{
	return head->frame_len <= WEIR_FRAME_LEN_MAX && !(head->offload.flags & WEIR_OFFLOAD_VLAN);
}

/** What tx_avail took, and what of it can never be sent. */
static inline void
tap_tx_count(struct weir_queue_stats *stats, uint16_t n_packets, uint16_t taken, uint16_t dropped,
	     uint64_t bytes)
{
	weir_count(&stats->tx_packets, taken - dropped);
	weir_count(&stats->tx_bytes, bytes);
	weir_count(&stats->tx_dropped, dropped);
	weir_count(&stats->tx_busy, taken < n_packets);
}

static inline void
tap_rx_count(struct weir_queue_stats *stats, uint16_t filled, uint16_t dropped, uint64_t bytes)
{
	weir_count(&stats->rx_packets, filled);
	weir_count(&stats->rx_bytes, bytes);
	weir_count(&stats->rx_dropped, dropped);
}

/* The ways to move frames. */

struct tap_queue_conf {
	const char *owner; /* as sentences begin: endpoint 'NAME' */
	int fd;
	bool multiqueue;
	uint16_t mtu;
	uint32_t rx_offloads;
	int numa_node;
	/** The first queue of the same guest, when this is another; NULL. */
	const struct weir_queue *first;
};

struct tap_mode {
	const char *name;
	const struct weir_queue_ops *ops;
	size_t queue_size;
	/** Whether it can be had here: 0, or negative errno with the reason. NULL: always. */
	int (*check)(const char *owner);
	int (*open)(struct weir_queue *queue, const struct tap_queue_conf *conf);
	/** What was taken from the guest is written first. */
	void (*close)(struct weir_queue *queue);
};

/** System calls on the poll lcore. */
extern const struct tap_mode tap_inline;
/** On a host I/O thread, behind frame queues. */
extern const struct tap_mode tap_thread;
/** By a kernel thread, through registered buffers. */
extern const struct tap_mode tap_sqpoll;

/** The mode that this machine measures best, which is logged with the figures. */
const struct tap_mode *tap_auto(const char *owner);

#endif
