/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "harness.h"
#include "vring_guest.h"

#define PACKED_AVAIL (1U << VRING_PACKED_DESC_F_AVAIL)
#define PACKED_USED (1U << VRING_PACKED_DESC_F_USED)

uint32_t
guest_random(uint64_t *seed)
{
	/* splitmix64 */
	uint64_t z = *seed += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (z ^ (z >> 31)) >> 16;
}

void
guest_init(struct guest *guest, uint32_t n, uint64_t region_size)
{
	struct weir_vring_region regions[WEIR_VRING_REGIONS_MAX];
	uint32_t i;

	for (i = 0; i < n; i++) {
		regions[i].guest_addr = GUEST_BASE + i * region_size;
		regions[i].size = region_size;
		assert_int_equal(posix_memalign((void **)&regions[i].host, 4096, region_size), 0);
		memset(regions[i].host, 0, region_size);
	}
	assert_int_equal(weir_vring_memory_init(&guest->memory, regions, n), 0);
	guest->end = GUEST_BASE + n * region_size;
}

void
guest_fini(struct guest *guest)
{
	uint32_t i;

	for (i = 0; i < guest->memory.n_regions; i++)
		free(guest->memory.regions[i].host);
}

void *
guest_host(const struct guest *guest, uint64_t addr, uint64_t len)
{
	uint64_t here = len;
	void *host = weir_vring_memory_host(&guest->memory, addr, &here);

	assert_non_null(host);
	assert_int_equal(here, len);
	return host;
}

void
guest_write(const struct guest *guest, uint64_t addr, const void *data, uint64_t len)
{
	const uint8_t *from = data;

	while (len > 0) {
		uint64_t here = len;
		void *host = weir_vring_memory_host(&guest->memory, addr, &here);

		assert_non_null(host);
		memcpy(host, from, here);
		addr += here;
		from += here;
		len -= here;
	}
}

void
guest_read(const struct guest *guest, uint64_t addr, void *data, uint64_t len)
{
	uint8_t *to = data;

	while (len > 0) {
		uint64_t here = len;
		void *host = weir_vring_memory_host(&guest->memory, addr, &here);

		assert_non_null(host);
		memcpy(to, host, here);
		addr += here;
		to += here;
		len -= here;
	}
}

/* Descriptors, driver's part, device's part, tables; each with some room to align. */
static uint64_t
driver_layout(uint32_t size, uint64_t *avail, uint64_t *used, uint64_t *tables)
{
	*avail = 16ULL * size;
	*used = RTE_ALIGN_CEIL(*avail + 6 + 2ULL * size, 64);
	*tables = RTE_ALIGN_CEIL(*used + 6 + 8ULL * size, 64);
	return *tables + 16ULL * DRIVER_INDIRECT_MAX * size;
}

uint64_t
driver_bytes(uint32_t size)
{
	uint64_t avail, used, tables;

	return driver_layout(size, &avail, &used, &tables);
}

void
driver_init(struct driver *driver, struct guest *guest, uint64_t features, uint32_t size,
	    bool write, uint64_t addr)
{
	uint64_t avail, used, tables;
	uint8_t *host;
	uint32_t i;

	host = guest_host(guest, addr, driver_layout(size, &avail, &used, &tables));
	memset(host, 0, tables);
	*driver = (struct driver){
		.guest = guest,
		.packed = features >> VIRTIO_F_RING_PACKED & 1,
		.write = write,
		.size = size,
		.features = features,
		.desc = (void *)host,
		.avail = (void *)(host + avail),
		.used = (void *)(host + used),
		.parts_addr = addr,
		.indirect_addr = addr + tables,
		.n_free = size,
		.n_ids = size,
		.avail_wrap = true,
		.used_wrap = true,
		.next = calloc(size, sizeof(*driver->next)),
		.token = calloc(size, sizeof(*driver->token)),
		.count = calloc(size, sizeof(*driver->count)),
		.order = calloc(size, sizeof(*driver->order)),
	};
	for (i = 0; i < size; i++)
		driver->next[i] = driver->packed ? i : (i + 1) % size;
}

void
driver_rebase(struct driver *driver, struct weir_vring_base base)
{
	if (driver->packed) {
		driver->avail_idx = base.avail & 0x7fff;
		driver->used_idx = base.used & 0x7fff;
		driver->avail_wrap = base.avail >> 15;
		driver->used_wrap = base.used >> 15;
		/* A ring of which every descriptor was used in the lap before. */
		for (uint32_t i = 0; i < driver->size; i++) {
			bool wrap = i < driver->used_idx ? driver->used_wrap : !driver->used_wrap;

			driver->ring[i].flags = wrap ? PACKED_AVAIL | PACKED_USED : 0;
		}
	} else {
		driver->avail_idx = base.avail;
		driver->used_idx = base.used;
		driver->avail->idx = base.avail;
		driver->used->idx = base.used;
	}
}

void
driver_fini(struct driver *driver)
{
	free(driver->next);
	free(driver->token);
	free(driver->count);
	free(driver->order);
}

struct weir_vring_config
driver_config(const struct driver *driver)
{
	return (struct weir_vring_config){
		.side = driver->write ? WEIR_VRING_RX : WEIR_VRING_TX,
		.features = driver->features,
		.size = driver->size,
		.desc = driver->desc,
		.driver = driver->avail,
		.device = driver->used,
		.base = {.avail = driver->avail_idx |
				  (driver->packed ? driver->avail_wrap << 15 : 0),
			 .used = driver->used_idx | (driver->packed ? driver->used_wrap << 15 : 0)},
		.memory = &driver->guest->memory,
	};
}

static bool
driver_add_split(struct driver *driver, const struct guest_buf *bufs, uint32_t n, bool indirect,
		 uint32_t token)
{
	uint16_t flags = driver->write ? VRING_DESC_F_WRITE : 0, head = driver->head, i = head;
	uint32_t need = indirect ? 1 : n, b;

	if (driver->n_free < need)
		return false;
	if (indirect) {
		uint64_t table = driver->indirect_addr + 16ULL * DRIVER_INDIRECT_MAX * head;

		for (b = 0; b < n; b++) {
			struct vring_desc desc = {
				.addr = bufs[b].addr,
				.len = bufs[b].len,
				.flags = flags | (b + 1 < n ? VRING_DESC_F_NEXT : 0),
				.next = b + 1 < n ? b + 1 : 0,
			};

			guest_write(driver->guest, table + 16 * b, &desc, sizeof(desc));
		}
		driver->desc[i] = (struct vring_desc){
			.addr = table, .len = 16 * n, .flags = VRING_DESC_F_INDIRECT};
	} else {
		for (b = 0; b < n; b++) {
			driver->desc[i] = (struct vring_desc){
				.addr = bufs[b].addr,
				.len = bufs[b].len,
				.flags = flags | (b + 1 < n ? VRING_DESC_F_NEXT : 0),
				.next = driver->next[i],
			};
			if (b + 1 < n)
				i = driver->next[i];
		}
	}
	driver->head = driver->next[i];
	driver->n_free -= need;
	driver->token[head] = token;
	driver->count[head] = need;
	driver->order[driver->order_tail++ % driver->size] = head;
	driver->avail->ring[driver->avail_idx++ % driver->size] = head;
	return true;
}

static bool
driver_add_packed(struct driver *driver, const struct guest_buf *bufs, uint32_t n, bool indirect,
		  uint32_t token)
{
	uint16_t base = driver->write ? VRING_DESC_F_WRITE : 0, head_flags = 0, flags, id;
	uint32_t need = indirect ? 1 : n, head = driver->avail_idx, b;
	uint64_t table = driver->indirect_addr + 16ULL * DRIVER_INDIRECT_MAX * head;

	if (driver->n_free < need)
		return false;
	id = driver->next[--driver->n_ids];
	for (b = 0; b < n && indirect; b++) {
		struct vring_packed_desc desc = {
			.addr = bufs[b].addr, .len = bufs[b].len, .flags = base};

		guest_write(driver->guest, table + 16 * b, &desc, sizeof(desc));
	}
	for (b = 0; b < need; b++) {
		struct vring_packed_desc *desc = &driver->ring[driver->avail_idx];

		flags = driver->avail_wrap ? PACKED_AVAIL : PACKED_USED;
		desc->addr = indirect ? table : bufs[b].addr;
		desc->len = indirect ? 16 * n : bufs[b].len;
		/* Only the last one's id counts (2.7.5): others are told wrong. */
		desc->id = b + 1 < need ? 0xdead : id;
		flags |= indirect ? VRING_DESC_F_INDIRECT : base;
		flags |= b + 1 < need ? VRING_DESC_F_NEXT : 0;
		if (b == 0)
			head_flags = flags;
		else
			desc->flags = flags;
		if (++driver->avail_idx == driver->size) {
			driver->avail_idx = 0;
			driver->avail_wrap = !driver->avail_wrap;
		}
	}
	/* Release: the rest of the chain. Partner: the device's acquire of the flags. */
	__atomic_store_n(&driver->ring[head].flags, head_flags, __ATOMIC_RELEASE);
	driver->n_free -= need;
	driver->token[id] = token;
	driver->count[id] = need;
	driver->order[driver->order_tail++ % driver->size] = id;
	return true;
}

bool
driver_add(struct driver *driver, const struct guest_buf *bufs, uint32_t n, bool indirect,
	   uint32_t token)
{
	return driver->packed ? driver_add_packed(driver, bufs, n, indirect, token)
			      : driver_add_split(driver, bufs, n, indirect, token);
}

void
driver_publish(struct driver *driver)
{
	if (!driver->packed)
		__atomic_store_n(&driver->avail->idx, driver->avail_idx, __ATOMIC_RELEASE);
}

/* A used element that is new, or the next of one: its head or id, and the bytes in it. */
static bool
driver_element(struct driver *driver, uint16_t *id, uint32_t *len)
{
	if (driver->packed) {
		const struct vring_packed_desc *desc = &driver->ring[driver->used_idx];
		uint16_t flags = __atomic_load_n(&desc->flags, __ATOMIC_ACQUIRE);

		if (!!(flags & PACKED_AVAIL) != driver->used_wrap ||
		    !!(flags & PACKED_USED) != driver->used_wrap)
			return false;
		*id = desc->id;
		*len = desc->len;
		/* WRITE tells whether anything was written (2.7.3). */
		assert_int_equal(!!(desc->flags & VRING_DESC_F_WRITE), desc->len != 0);
	} else {
		if (driver->used_idx == __atomic_load_n(&driver->used->idx, __ATOMIC_ACQUIRE))
			return false;
		*id = driver->used->ring[driver->used_idx % driver->size].id;
		*len = driver->used->ring[driver->used_idx % driver->size].len;
	}
	assert_in_range(*id, 0, driver->size - 1);
	return true;
}

/* In order an element stands for all up to the one that it names (2.6.9, 2.7.8). */
static bool
driver_batch(struct driver *driver, uint16_t *id, uint32_t *len)
{
	uint16_t last;
	uint32_t n = 1;

	if (driver->batch == 0) {
		if (!driver_element(driver, &last, &driver->batch_len))
			return false;
		for (; driver->order[(driver->order_head + n - 1) % driver->size] != last; n++)
			assert_int_not_equal(driver->order_head + n, driver->order_tail);
		if (!driver->packed)
			assert_in_range(n, 1, (uint16_t)(driver->used->idx - driver->used_idx));
		/* One that has bytes in it cannot stand for another. */
		assert_true(n == 1 || !driver->write);
		driver->batch = n;
	}
	*id = driver->order[driver->order_head++ % driver->size];
	*len = --driver->batch == 0 ? driver->batch_len : 0;
	return true;
}

bool
driver_used(struct driver *driver, uint32_t *token, uint32_t *len)
{
	bool in_order = driver->features & BIT(VIRTIO_F_IN_ORDER);
	uint16_t id, last;
	uint32_t i;

	if (!(in_order ? driver_batch(driver, &id, len) : driver_element(driver, &id, len)))
		return false;
	if (driver->packed) {
		driver->next[driver->n_ids++] = id;
		driver->used_idx += driver->count[id];
		if (driver->used_idx >= driver->size) {
			driver->used_idx -= driver->size;
			driver->used_wrap = !driver->used_wrap;
		}
	} else {
		driver->used_idx++;
		for (i = 1, last = id; i < driver->count[id]; i++)
			last = driver->next[last];
		if (driver->n_free > 0)
			driver->next[last] = driver->head;
		driver->head = id;
	}
	*token = driver->token[id];
	assert_int_not_equal(driver->count[id], 0); /* given back once */
	driver->n_free += driver->count[id];
	driver->count[id] = 0;
	return true;
}
