/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>

#include "header.h"
#include "ring.h"
#include "weir_error.h"

static const struct {
	const char *name;
	const char *text;
} errors[WEIR_VRING_N_ERRORS] = {
	[WEIR_VRING_OK] = {"ok", "the ring works"},
	[WEIR_VRING_AVAIL_JUMP] = {"avail_jump", "more chains are available than the ring has "
						 "descriptors (virtio 1.1, 2.6.6.1, 2.7.16)"},
	[WEIR_VRING_HEAD_RANGE] = {"head_range", "the available ring names a descriptor outside "
						 "the table (virtio 1.1, 2.6.6)"},
	[WEIR_VRING_HEAD_HELD] = {"head_held", "a descriptor is available again before it was "
					       "used (virtio 1.1, 2.6.13)"},
	[WEIR_VRING_NEXT_RANGE] = {"next_range",
				   "a chain goes on outside its table (virtio 1.1, 2.6.5)"},
	[WEIR_VRING_CHAIN_LONG] = {"chain_long", "a chain loops or is longer than the ring "
						 "(virtio 1.1, 2.6.5.2, 2.7.17)"},
	[WEIR_VRING_ADDRESS] = {"address", "a descriptor points where the guest has no memory "
					   "(virtio 1.1, 2.6.5, 2.7.4)"},
	[WEIR_VRING_ADDRESS_WRAP] = {"address_wrap", "a descriptor's address and length wrap "
						     "around (virtio 1.1, 2.6.5, 2.7.4)"},
	[WEIR_VRING_INDIRECT_FEATURE] = {"indirect_feature",
					 "an indirect descriptor without VIRTIO_F_INDIRECT_DESC "
					 "(virtio 1.1, 2.6.5.3.1, 2.7.19)"},
	[WEIR_VRING_INDIRECT_NEXT] = {"indirect_next", "a descriptor is both indirect and part of "
						       "a list (virtio 1.1, 2.6.5.3.1, 2.7.19)"},
	[WEIR_VRING_INDIRECT_NESTED] = {"indirect_nested",
					"an indirect table holds an indirect descriptor "
					"(virtio 1.1, 2.6.5.3.1, 2.7.19)"},
	[WEIR_VRING_INDIRECT_SIZE] = {"indirect_size",
				      "an indirect table is not one of 1 to 32768 descriptors "
				      "(virtio 1.1, 2.6.5.3, 2.7.7)"},
	[WEIR_VRING_TX_WRITABLE] = {"tx_writable", "a frame to send lies in device-writable memory "
						   "(virtio 1.1, 2.6.4.2, 5.1.6.2)"},
	[WEIR_VRING_RX_READABLE] = {"rx_readable", "a receive buffer is not device-writable "
						   "(virtio 1.1, 2.6.5.1, 5.1.6.3)"},
	[WEIR_VRING_SHORT_HEADER] = {"short_header", "a chain is shorter than the virtio-net "
						     "header (virtio 1.1, 5.1.6.2, 5.1.6.3.1)"},
};

const char *
weir_vring_error_text(enum weir_vring_error error)
{
	return (unsigned int)error < RTE_DIM(errors) ? errors[error].text : "no such reason";
}

const char *
weir_vring_error_name(enum weir_vring_error error)
{
	return (unsigned int)error < RTE_DIM(errors) ? errors[error].name : "none";
}

static int
vring_check(const struct weir_vring_config *config)
{
	bool packed = config->features >> VIRTIO_F_RING_PACKED & 1;
	uint32_t size = config->size;

	if (size == 0 || size > VRING_SIZE_MAX || (!packed && (size & (size - 1)) != 0))
		return weir_error(EINVAL, "ring size %u: 1 to %u%s", size, VRING_SIZE_MAX,
				  packed ? "" : ", a power of two for a split ring");
	if (config->desc == NULL || config->driver == NULL || config->device == NULL ||
	    config->memory == NULL)
		return weir_error(EINVAL, "ring without descriptors, rings or memory table");
	/* 2.6; 2.7.10.1 */
	if ((uintptr_t)config->desc % 16 != 0 ||
	    (uintptr_t)config->driver % (packed ? 4 : 2) != 0 || (uintptr_t)config->device % 4 != 0)
		return weir_error(EINVAL,
				  "ring is not aligned: descriptors to 16 bytes, the "
				  "driver's part to %u, the device's to 4",
				  packed ? 4 : 2);
	if (packed &&
	    ((config->base.avail & 0x7fff) >= size || (config->base.used & 0x7fff) >= size))
		return weir_error(EINVAL, "ring base %u, %u: outside a ring of %u",
				  config->base.avail & 0x7fff, config->base.used & 0x7fff, size);
	return 0;
}

/* Line-aligned and zeroed; NULL with @p n 0. */
static void *
vring_alloc(size_t n, size_t size, bool *failed)
{
	size_t bytes = RTE_ALIGN_CEIL(n * size, RTE_CACHE_LINE_SIZE);
	void *p;

	if (n == 0)
		return NULL;
	p = aligned_alloc(RTE_CACHE_LINE_SIZE, bytes);
	if (p == NULL)
		*failed = true;
	else
		memset(p, 0, bytes);
	return p;
}

struct weir_vring *
weir_vring_create(const struct weir_vring_config *config)
{
	bool is_tx = config->side == WEIR_VRING_TX, failed = false, packed, in_order;
	struct weir_vring *vr;
	uint32_t i, size;

	if (vring_check(config) < 0) {
		rte_errno = EINVAL;
		return NULL;
	}
	vr = vring_alloc(1, sizeof(*vr), &failed);
	if (vr == NULL)
		goto no_memory;
	vr->desc = config->desc;
	vr->avail = config->driver;
	vr->used = config->device;
	vr->size = size = config->size;
	vr->features = config->features;
	vr->memory = config->memory;
	vr->log = config->log;
	vr->is_tx = is_tx;
	vr->packed = packed = vring_has(vr, VIRTIO_F_RING_PACKED);
	vr->mergeable = vring_has(vr, VIRTIO_NET_F_MRG_RXBUF);
	vr->in_order = in_order = vring_has(vr, VIRTIO_F_IN_ORDER);
	vr->event_idx = vring_has(vr, VIRTIO_RING_F_EVENT_IDX);
	vr->indirect = vring_has(vr, VIRTIO_RING_F_INDIRECT_DESC);
	vr->claims = is_tx && (vr->features & HEADER_CLAIMS) != 0;
	/* num_buffers is there with either (5.1.6.1). */
	vr->header_len = vr->mergeable || vring_has(vr, VIRTIO_F_VERSION_1)
				 ? sizeof(struct virtio_net_hdr_mrg_rxbuf)
				 : sizeof(struct virtio_net_hdr);
	vr->avail_idx = packed ? config->base.avail & 0x7fff : config->base.avail;
	vr->avail_wrap = config->base.avail >> 15;
	vr->used_idx = packed ? config->base.used & 0x7fff : config->base.used;
	vr->used_wrap = config->base.used >> 15;
	vr->avail_seen = vr->avail_idx;
	/* The region looked at first is the one with the most memory: most buffers are there. */
	for (i = 0; i < vr->memory->n_regions; i++)
		if (vr->memory->regions[i].size > vr->cache_size) {
			vr->cache_guest = vr->memory->regions[i].guest_addr;
			vr->cache_size = vr->memory->regions[i].size;
			vr->cache_host = vr->memory->regions[i].host;
		}
	vr->slots = vring_alloc(is_tx ? size : 0, sizeof(*vr->slots), &failed);
	vr->free_ids = vring_alloc(is_tx && packed ? size : 0, sizeof(*vr->free_ids), &failed);
	vr->order = vring_alloc(is_tx && in_order ? size : 0, sizeof(*vr->order), &failed);
	vr->done = vring_alloc(is_tx && in_order ? size : 0, sizeof(*vr->done), &failed);
	vr->fifo = vring_alloc(is_tx ? 0 : WEIR_VRING_CHAINS_MAX, sizeof(*vr->fifo), &failed);
	vr->pool = vring_alloc(is_tx ? 0 : VRING_POOL, sizeof(*vr->pool), &failed);
	vr->scratch = vring_alloc(WEIR_VRING_SEGMENTS_MAX, sizeof(*vr->scratch), &failed);
	if (failed)
		goto no_memory;
	if (vr->free_ids != NULL)
		for (; vr->n_free < size; vr->n_free++)
			vr->free_ids[vr->n_free] = size - 1 - vr->n_free;
	return vr;

no_memory:
	weir_vring_free(vr);
	weir_error(ENOMEM, "ring of %u: no memory", config->size);
	rte_errno = ENOMEM;
	return NULL;
}

void
weir_vring_free(struct weir_vring *vr)
{
	if (vr == NULL)
		return;
	free(vr->slots);
	free(vr->free_ids);
	free(vr->order);
	free(vr->done);
	free(vr->fifo);
	free(vr->pool);
	free(vr->scratch);
	free(vr);
}

/* Step the available position back over @p n: chains when split, descriptors when packed. */
static void
vring_rewind(struct weir_vring *vr, uint32_t n)
{
	if (!vr->packed) {
		vr->avail_idx -= n;
		return;
	}
	if (n > vr->avail_idx) {
		vr->avail_idx += vr->size;
		vr->avail_wrap = !vr->avail_wrap;
	}
	vr->avail_idx -= n;
}

struct weir_vring_base
weir_vring_stop(struct weir_vring *vr)
{
	struct weir_vring_base base;
	uint32_t i, n = 0;

	if (vr->is_tx) {
		for (i = 0; i < vr->size && vr->n_held > 0; i++) {
			uint16_t id = i;

			weir_vring_tx_done(vr, &id, 1);
		}
	} else {
		weir_vring_rx_commit(vr);
		for (i = vr->fifo_head; i != vr->fifo_tail; i++)
			n += vr->packed ? vr->fifo[i % WEIR_VRING_CHAINS_MAX].n_descs : 1;
		/* A guest that made more available than there is broke the ring; stay inside. */
		vring_rewind(vr, vr->packed ? RTE_MIN(n, vr->size) : n);
		vr->fifo_tail = vr->fifo_head;
	}
	base.avail = vr->avail_idx;
	base.used = vr->used_idx;
	if (vr->packed) {
		base.avail |= (uint16_t)vr->avail_wrap << 15;
		base.used |= (uint16_t)vr->used_wrap << 15;
	}
	return base;
}

void
weir_vring_set_log(struct weir_vring *vr, const struct weir_vring_log *log)
{
	vr->log = log;
}

enum weir_vring_error
weir_vring_error(const struct weir_vring *vr)
{
	return vr->error;
}

void
weir_vring_stats(const struct weir_vring *vr, struct weir_vring_stats *stats)
{
	const uint64_t *from = (const uint64_t *)&vr->stats;
	uint64_t *to = (uint64_t *)stats;
	size_t i;

	/* The ring's thread counts on meanwhile. */
	for (i = 0; i < sizeof(*stats) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

uint32_t
weir_vring_size(const struct weir_vring *vr)
{
	return vr->size;
}

uint32_t
weir_vring_header_len(const struct weir_vring *vr)
{
	return vr->header_len;
}
