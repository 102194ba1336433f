/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_ACCESS_H
#define WEIR_ACCESS_H

/**
 * Buffer access: what a queue may do with a guest's frames and buffers.
 *
 * The guest port owns the guest's memory and lends it, one burst at a time: a tx
 * frame as segments, an rx buffer as an id. Every queue call carries the access
 * of the pair that makes it, so the data path needs no lock. All calls below run
 * on the lcore that polls the access's queue pair, unless said otherwise.
 *
 * tx and rx are the guest's view: tx leaves the guest, rx enters it.
 *
 * @see seeds: Queue, "every method that touches receive buffers takes pool"
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

struct rte_mbuf;

/** Checksum must be completed: one's complement from csum_start, stored at csum_offset. */
#define WEIR_OFFLOAD_NEEDS_CSUM 0x01
/** Checksums inside the frame were verified by whoever sent it. */
#define WEIR_OFFLOAD_DATA_VALID 0x02
/** vlan_tci holds a tag that is not in the frame's bytes. */
#define WEIR_OFFLOAD_VLAN 0x80

#define WEIR_GSO_NONE 0
#define WEIR_GSO_TCPV4 1
#define WEIR_GSO_UDP 3
#define WEIR_GSO_TCPV6 4
/** May be set beside a TCP type: the segments carry ECN. */
#define WEIR_GSO_ECN 0x80

/**
 * What a frame still needs, both ways.
 *
 * The first ten bytes have the layout and the meaning of struct virtio_net_hdr
 * (virtio 1.1, 5.1.6), so that an end that speaks it copies instead of
 * translating. All zero: a finished frame of no claims.
 */
struct weir_offload {
	uint8_t flags;	      /* WEIR_OFFLOAD_* */
	uint8_t gso_type;     /* WEIR_GSO_* */
	uint16_t hdr_len;     /* bytes of headers in front of the payload; a hint */
	uint16_t gso_size;    /* payload bytes of each segment cut */
	uint16_t csum_start;  /* bytes from the start of the frame */
	uint16_t csum_offset; /* bytes from csum_start */
	uint16_t vlan_tci;    /* with WEIR_OFFLOAD_VLAN; host byte order */
};

/** Bytes of struct weir_offload that are a struct virtio_net_hdr. */
#define WEIR_OFFLOAD_VNET_SIZE 10

/** What one side can take unfinished; the guest's by feature, an endpoint's by kind. */
#define WEIR_OFFLOAD_CAP_CSUM (1U << 0)
#define WEIR_OFFLOAD_CAP_TSO4 (1U << 1)
#define WEIR_OFFLOAD_CAP_TSO6 (1U << 2)
#define WEIR_OFFLOAD_CAP_ECN (1U << 3)
#define WEIR_OFFLOAD_CAP_ALL 0xfU

/**
 * A piece of a tx frame, checked and translated; readable until its id is done.
 *
 * A packet is one head (n_segments >= 1) and n_segments - 1 tails that follow it
 * in the array. Two fit in a cache line.
 */
struct weir_tx_segment {
	const void *addr;
	uint32_t len;		     /* of this piece, at least 1 */
	uint32_t frame_len;	     /* head: of the whole frame */
	uint16_t id;		     /* head: names the packet until it is done */
	uint16_t n_segments;	     /* head: pieces, this one included; tail: 0 */
	struct weir_offload offload; /* head */
};

/**
 * The packet behind the one at @p head.
 *
 * Nearly all have one segment. By the sum alone each step along a burst waits for a load, as
 * along a linked list; by a branch that is foreseen the processor goes on at once.
 */
static __rte_always_inline const struct weir_tx_segment *
weir_tx_next(const struct weir_tx_segment *head)
{
	if (likely(head->n_segments == 1)) {
		head++;
		asm("" : "+r"(head)); /* else the compiler sees one sum in both */
		return head;
	}
	return head + head->n_segments;
}

/** Longest frame of segmentation: a 64 KB IP packet with its Ethernet header and two tags. */
#define WEIR_FRAME_LEN_MAX (65535 + 14 + 8)

/** Describes a frame written into an rx buffer. */
struct weir_rx_meta {
	uint32_t len; /* bytes of the frame */
	struct weir_offload offload;
};

struct weir_access;

/**
 * The guest port's side of the contract. Writing decides the fate of one rx id:
 * after write_header(), write_packet(), write_packet_segments() or
 * attach_frames() the id is filled and must come back by the queue's rx_poll. A
 * frame whose offloads the guest did not negotiate is finished by the guest port;
 * one that the guest cannot take (longer than its buffer, offloads that are not
 * what they say) is counted there under its reason, and its id is used all the
 * same.
 */
struct weir_access_ops {
	/** Bytes of frame that the posted buffer takes. */
	uint32_t (*capacity)(struct weir_access *access, uint16_t rx_id);

	/**
	 * Where the posted buffer lies, for an end that writes itself (readv).
	 *
	 * @return
	 *   Entries of @p iov set, at most @p n; 0 when there is no memory for it
	 *   now (the id stays posted: try again later). What lies in them counts
	 *   once write_header() says how long the frame is.
	 */
	unsigned int (*guest_addresses)(struct weir_access *access, uint16_t rx_id,
					struct iovec *iov, unsigned int n);

	/** Copy @p len bytes to @p offset of the buffer; -EMSGSIZE, -ENOBUFS. */
	int (*write_data)(struct weir_access *access, uint16_t rx_id, uint32_t offset,
			  const void *data, uint32_t len);

	/** Finish a buffer whose data is in place. */
	void (*write_header)(struct weir_access *access, uint16_t rx_id,
			     const struct weir_rx_meta *meta);

	/** Data and header in one; -ENOBUFS leaves the id posted. */
	int (*write_packet)(struct weir_access *access, uint16_t rx_id,
			    const struct weir_rx_meta *meta, const void *data);

	/**
	 * Copy packets from another guest's segments, one rx id each.
	 *
	 * @param source
	 *   The access the segments came from, when it is polled by this same lcore:
	 *   it may hand its frame over instead of having it copied, so do not read
	 *   the segments afterwards. NULL when it is another lcore's.
	 * @return
	 *   Packets written: a prefix. Fewer than @p n_packets only when memory is
	 *   short now.
	 */
	uint16_t (*write_packet_segments)(struct weir_access *access, const uint16_t *rx_ids,
					  struct weir_access *source,
					  const struct weir_tx_segment *segments,
					  uint16_t n_packets);

	/**
	 * Fill rx buffers from mbufs, whose ownership passes for the prefix taken.
	 */
	uint16_t (*attach_frames)(struct weir_access *access, const uint16_t *rx_ids,
				  struct rte_mbuf **frames, uint16_t n);

	/**
	 * Get tx packets as mbufs that outlive their ids: for an ethdev, a frame
	 * queue, or whoever keeps a frame longer than its descriptor.
	 *
	 * @return
	 *   Packets converted: a prefix, short when the pool or the budget is.
	 */
	uint16_t (*take_frames)(struct weir_access *access, const struct weir_tx_segment *segments,
				struct rte_mbuf **frames, uint16_t n_packets);
};

struct weir_access {
	const struct weir_access_ops *ops;
	/** Offloads the guest negotiated to receive: WEIR_OFFLOAD_CAP_*. */
	uint32_t rx_offloads;
};

#endif
