/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_VRING_H
#define WEIR_VRING_H

/**
 * Ring engine: reads and writes one virtqueue of a virtio-net guest, over plain
 * memory.
 *
 * Whoever owns the session with the guest's front-end translates the three parts
 * of a ring to host addresses, hands them over with the memory table and the
 * negotiated features, and gets back:
 *
 *   tx ring   weir_vring_tx_take()    packets, as pieces of the guest's memory
 *             weir_vring_tx_done()    gives the descriptors back, in any order
 *   rx ring   weir_vring_rx_write_*() copy a frame into the buffers posted next
 *             weir_vring_rx_commit()  shows the guest what was written
 *   both      weir_vring_should_notify(), weir_vring_arm() before sleeping
 *             weir_vring_stop()       the indices to resume from
 *
 * The guest may write its memory at any moment. Every descriptor, index and
 * header is fetched once into our own memory, checked, and used from there; what
 * the guest writes afterwards changes its own bytes and nothing else. A guest that
 * breaks a rule of the specification has its ring stopped for good, see
 * weir_vring_error(). Work a call does is bounded by its arguments and the ring's
 * size, whatever the guest posts.
 *
 * Threads: one at a time per ring, every call. Rings share nothing but the
 * memory table, which is read only, and the dirty log, which is written
 * atomically. No call blocks, logs, allocates or makes a system call, but
 * create and free.
 *
 * @see virtio 1.1, 2.6 (split virtqueues), 2.7 (packed virtqueues), 5.1.6 (network
 *   device operation); clauses are cited by their numbers there
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "weir_access.h"

/* Memory */

/** Regions of one guest's memory, at most. */
#define WEIR_VRING_REGIONS_MAX 64

/** A piece of guest memory that is mapped here. */
struct weir_vring_region {
	uint64_t guest_addr; /* guest physical */
	uint64_t size;	     /* bytes */
	uint8_t *host;
};

/** All of a guest's memory; made by weir_vring_memory_init(), then read only. */
struct weir_vring_memory {
	uint32_t n_regions;
	struct weir_vring_region regions[WEIR_VRING_REGIONS_MAX]; /* by guest_addr */
};

/**
 * Check and sort a memory table. Control threads.
 *
 * @return
 *   - 0
 *   - -E2BIG: more than WEIR_VRING_REGIONS_MAX
 *   - -EINVAL: a region that is empty, wraps around or overlaps another; the
 *     sentence is in weir_error_text()
 */
int weir_vring_memory_init(struct weir_vring_memory *memory,
			   const struct weir_vring_region *regions, uint32_t n_regions);

/**
 * Where guest memory lies here.
 *
 * @param len
 *   In: bytes wanted. Out: bytes of them that follow the result, less where the
 *   region ends.
 * @return
 *   NULL when the guest has no memory at @p guest_addr.
 */
void *weir_vring_memory_host(const struct weir_vring_memory *memory, uint64_t guest_addr,
			     uint64_t *len);

/**
 * Dirty-page log of a live migration: one bit for each 4 KB page of guest
 * physical memory, as vhost-user shares it (VHOST_USER_SET_LOG_BASE).
 */
struct weir_vring_log {
	uint8_t *base;
	uint64_t size; /* bytes */
};

/* One ring */

enum weir_vring_side {
	WEIR_VRING_TX, /* leaves the guest: transmitq */
	WEIR_VRING_RX, /* enters it: receiveq */
};

/**
 * Where a ring goes on: split, the free-running 16-bit indices; packed, the
 * descriptor's index with the wrap counter in bit 15, as in vhost-user's
 * VHOST_USER_SET_VRING_BASE.
 */
struct weir_vring_base {
	uint16_t avail; /* next to be taken */
	uint16_t used;	/* next to be given back */
};

/** A packed ring that has never run. Of a split ring it is all zero. */
#define WEIR_VRING_BASE_PACKED ((struct weir_vring_base){.avail = 1U << 15, .used = 1U << 15})

struct weir_vring_config {
	enum weir_vring_side side;
	uint64_t features; /* negotiated, VIRTIO_F_*, VIRTIO_RING_F_*, VIRTIO_NET_F_* */
	uint32_t size;	   /* entries: 1 to 32768, a power of two when split */
	void *desc;	   /* split: descriptor table; packed: descriptor ring */
	void *driver;	   /* split: available ring; packed: driver event suppression */
	void *device;	   /* split: used ring; packed: device event suppression */
	struct weir_vring_base base;
	const struct weir_vring_memory *memory; /* stays as it is until free */
	const struct weir_vring_log *log;	/* likewise, or NULL */
};

struct weir_vring;

/**
 * Attach to a ring. Control threads.
 *
 * @return
 *   NULL with rte_errno and a sentence in weir_error_text():
 *   - EINVAL: a size that cannot be, a part that is missing, not aligned as
 *     virtio 1.1, 2.6 and 2.7.10.1 want it, or a base outside the ring
 *   - ENOMEM
 */
struct weir_vring *weir_vring_create(const struct weir_vring_config *config);

/** Detach; touches no guest memory; accepts NULL. */
void weir_vring_free(struct weir_vring *vr);

/**
 * Let go of the guest's descriptors: commit what was written, complete every tx
 * id that is still held (its frame is lost as on a wire), and leave the rx
 * buffers that were looked at to whoever comes next. The ring stays as it is
 * afterwards; only weir_vring_free() may follow.
 *
 * @return
 *   What the front-end resumes from.
 */
struct weir_vring_base weir_vring_stop(struct weir_vring *vr);

/** Log pages written from now on; NULL to end. */
void weir_vring_set_log(struct weir_vring *vr, const struct weir_vring_log *log);

/** Why a ring was stopped. */
enum weir_vring_error {
	WEIR_VRING_OK,
	WEIR_VRING_AVAIL_JUMP,	     /* more available than the ring has entries */
	WEIR_VRING_HEAD_RANGE,	     /* available: no such descriptor */
	WEIR_VRING_HEAD_HELD,	     /* available again while not given back */
	WEIR_VRING_NEXT_RANGE,	     /* chain goes on outside the table */
	WEIR_VRING_CHAIN_LONG,	     /* chain loops, or is longer than the ring */
	WEIR_VRING_ADDRESS,	     /* no guest memory there */
	WEIR_VRING_ADDRESS_WRAP,     /* address plus length wraps around */
	WEIR_VRING_INDIRECT_FEATURE, /* indirect, not negotiated */
	WEIR_VRING_INDIRECT_NEXT,    /* indirect and chained */
	WEIR_VRING_INDIRECT_NESTED,  /* indirect inside of indirect */
	WEIR_VRING_INDIRECT_SIZE,    /* table of no, broken or too many descriptors */
	WEIR_VRING_TX_WRITABLE,	     /* tx frame in device-writable memory */
	WEIR_VRING_RX_READABLE,	     /* rx buffer in memory that is not device-writable */
	WEIR_VRING_SHORT_HEADER,     /* chain shorter than the virtio-net header */
	WEIR_VRING_N_ERRORS,
};

/**
 * Why the ring is stopped, or WEIR_VRING_OK. From a stopped ring nothing comes
 * any more: bursts are 0, writes -EIO, and the guest's memory is left alone.
 */
enum weir_vring_error weir_vring_error(const struct weir_vring *vr);

/** The reason in words, with its clause: "available index jumps ... (virtio 1.1, 2.6.6)". */
const char *weir_vring_error_text(enum weir_vring_error error);

/** One word for a telemetry key: "avail_jump". */
const char *weir_vring_error_name(enum weir_vring_error error);

/**
 * Frames written, frames taken, and those that were not passed on, by reason. The ring goes on.
 * Each a uint64_t.
 */
struct weir_vring_stats {
	uint64_t rx_packets, rx_bytes;
	uint64_t tx_packets, tx_bytes; /* taken */
	uint64_t tx_dropped_short;     /* less than an Ethernet header */
	uint64_t tx_dropped_long;      /* over WEIR_FRAME_LEN_MAX or WEIR_VRING_SEGMENTS_MAX */
	uint64_t tx_dropped_offload;   /* the header asks for what cannot be */
	uint64_t rx_dropped_long;      /* longer than the guest's buffers */
	uint64_t rx_dropped_offload;   /* needs what the guest did not negotiate */
};

/** Since create. Any thread; values may be of different moments. */
void weir_vring_stats(const struct weir_vring *vr, struct weir_vring_stats *stats);

/** Entries. */
uint32_t weir_vring_size(const struct weir_vring *vr);

/** Bytes of the virtio-net header in front of each frame: 10 or 12. */
uint32_t weir_vring_header_len(const struct weir_vring *vr);

/** Whether the guest has posted something that was not taken yet. */
bool weir_vring_has_work(const struct weir_vring *vr);

/* Notification */

/**
 * Whether the guest wants to hear of what was given back or committed since the
 * last call: then its call descriptor is to be written. Once a burst.
 */
bool weir_vring_should_notify(struct weir_vring *vr);

/**
 * Ask the guest to kick us when it posts more, and look once more.
 *
 * @return
 *   true when there is work already: do not sleep. The guest stays armed either
 *   way, until weir_vring_disarm().
 */
bool weir_vring_arm(struct weir_vring *vr);

/**
 * Tell the guest that we poll; kicks may still come. Until the first arm or disarm
 * it goes by what it last saw.
 */
void weir_vring_disarm(struct weir_vring *vr);

/* tx */

/** Pieces of one packet, at most; a caller of weir_vring_tx_take() has room for as many. */
#define WEIR_VRING_SEGMENTS_MAX 256

/**
 * Take packets the guest sent.
 *
 * Each is one head and its tails, as told at struct weir_tx_segment, without the
 * virtio-net header. An id is less than the ring's size and stays taken until
 * weir_vring_tx_done(). Wrong packets are dropped and counted.
 *
 * @param max_segments
 *   Room at @p segments, at least WEIR_VRING_SEGMENTS_MAX.
 * @param n_packets
 *   At most as many chains are consumed, dropped ones included: less than
 *   @p n_packets, even 0, does not mean that the ring is empty.
 * @return
 *   Packets at @p segments.
 */
uint16_t weir_vring_tx_take(struct weir_vring *vr, struct weir_tx_segment *segments,
			    uint32_t max_segments, uint16_t n_packets);

/**
 * Whether at least @p n chains of one descriptor are there to be taken, as far as one look
 * tells; packed ones are then on their way into the cache.
 */
bool weir_vring_tx_has(const struct weir_vring *vr, uint16_t n);

/**
 * Give descriptors back; their segments are the guest's again. Any order: with
 * VIRTIO_F_IN_ORDER the guest sees an id when all taken before it are done.
 * An id that is not taken is ignored.
 */
void weir_vring_tx_done(struct weir_vring *vr, const uint16_t *ids, uint16_t n);

/** Likewise, by the packets as taken. */
void weir_vring_tx_done_packets(struct weir_vring *vr, const struct weir_tx_segment *segments,
				uint16_t n_packets);

/** Packets taken and not done. */
uint32_t weir_vring_tx_held(const struct weir_vring *vr);

/*
 * rx
 *
 * An rx id of struct weir_access_ops is a credit for one frame, no more: it is not
 * bound to a buffer. Frames go into the buffers in the order in which the guest
 * posted them, each into one chain, or with VIRTIO_NET_F_MRG_RXBUF into as many
 * as it needs; the next frame goes behind the one written last. So ids may be
 * handed out once and for ever, and a frame of any size up to
 * WEIR_FRAME_LEN_MAX has one id.
 *
 * An end that writes itself (readv) does it for one frame at a time:
 * weir_vring_rx_addresses(), then weir_vring_rx_write_header() for the same
 * frame. In between nothing else is written. Not calling the second costs nothing.
 */

/** Chains that one frame is spread over, at most. */
#define WEIR_VRING_CHAINS_MAX 256

/**
 * How many frames can be written now, at least: chains posted, up to @p max
 * and WEIR_VRING_CHAINS_MAX.
 */
uint16_t weir_vring_rx_posted(struct weir_vring *vr, uint16_t max);

/**
 * Bytes of frame that the next one may have now: without mergeable buffers its
 * chain's, with them all that is posted; up to WEIR_FRAME_LEN_MAX.
 */
uint32_t weir_vring_rx_capacity(struct weir_vring *vr);

/**
 * Where the bytes of the next frame go.
 *
 * @param max_len
 *   Bytes wanted.
 * @return
 *   Entries of @p iov set, at most @p n, for at most @p max_len bytes and maybe
 *   less; 0 when nothing is posted.
 */
unsigned int weir_vring_rx_addresses(struct weir_vring *vr, uint32_t max_len, struct iovec *iov,
				     unsigned int n);

/**
 * Copy to @p offset of the next frame, which weir_vring_rx_write_header() finishes.
 *
 * @return
 *   - 0
 *   - -ENOBUFS: nothing posted for it now
 *   - -EMSGSIZE: the guest's buffer ends before it
 *   - -EIO: the ring is stopped
 */
int weir_vring_rx_write_data(struct weir_vring *vr, uint32_t offset, const void *data,
			     uint32_t len);

/**
 * Finish the next frame; its bytes are in place already.
 *
 * @return
 *   - 0: written
 *   - -ENOBUFS: the guest has posted too little for it now; nothing changes
 *   - -EMSGSIZE: too long for the guest's buffers: dropped, counted. That is the
 *     next chain; mergeable, all that is posted when it is half the ring or more:
 *     a guest need not post more before it gets something
 *   - -EOPNOTSUPP: its offloads are not the guest's, or a tag is to be
 *     inserted (WEIR_OFFLOAD_VLAN): dropped, counted
 *   - -EIO: the ring is stopped
 */
int weir_vring_rx_write_header(struct weir_vring *vr, const struct weir_rx_meta *meta);

/** Data and header in one; a WEIR_OFFLOAD_VLAN tag is inserted. Else likewise. */
int weir_vring_rx_write_packet(struct weir_vring *vr, const struct weir_rx_meta *meta,
			       const void *data);

/**
 * Copy packets, each a head and its tails as taken from another ring; or made up
 * of whatever memory (a chain of mbufs), then only addr, len, frame_len, n_segments
 * and offload count.
 *
 * @return
 *   Packets done with, written or dropped and counted: a prefix. Fewer than
 *   @p n_packets when the guest has posted too little, or the ring is stopped.
 */
uint16_t weir_vring_rx_write_packets(struct weir_vring *vr, const struct weir_tx_segment *segments,
				     uint16_t n_packets);

/**
 * Likewise, but stop at a packet of several segments or with anything to be done
 * (offload), which may need more than a copy.
 */
uint16_t weir_vring_rx_write_plain(struct weir_vring *vr, const struct weir_tx_segment *segments,
				   uint16_t n_packets);

/** Show the guest what was written since the last commit: once a burst. */
void weir_vring_rx_commit(struct weir_vring *vr);

#endif
