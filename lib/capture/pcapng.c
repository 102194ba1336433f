/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_memcpy.h>

#include "pcapng.h"
#include "weir_access.h"

#define LINKTYPE_ETHERNET 1
#define BYTE_ORDER_MAGIC 0x1a2b3c4d

/* Options (3.5, 4.1 to 4.3, 4.6). */
#define OPT_END 0
#define SHB_USERAPPL 4
#define IF_NAME 2
#define IF_DESCRIPTION 3
#define IF_TSRESOL 9
#define IF_FILTER 11
#define EPB_FLAGS 2
#define ISB_IFRECV 4
#define ISB_IFDROP 5
#define ISB_FILTERACCEPT 6

#define TSRESOL_NS 9 /* ten to the minus nine */
/* Longest text in a record: a filter may be longer than a record has room for. */
#define TEXT_MAX 400

#define VLAN_AT 12 /* behind the two addresses */
#define VLAN_LEN 4
#define VLAN_TPID 0x8100

struct packet_head {
	uint32_t type, length;
	uint32_t interface, time_high, time_low, captured, original;
};

struct packet_tail {
	uint16_t flags_code, flags_len;
	uint32_t flags;
	uint32_t end;
	uint32_t length;
};

static size_t
put(uint8_t *to, size_t at, const void *from, size_t len)
{
	memcpy(to + at, from, len);
	return at + len;
}

static size_t
put_u32(uint8_t *to, size_t at, uint32_t value)
{
	return put(to, at, &value, sizeof(value));
}

static size_t
put_option(uint8_t *to, size_t at, uint16_t code, const void *value, uint16_t len)
{
	at = put(to, at, &code, sizeof(code));
	at = put(to, at, &len, sizeof(len));
	at = put(to, at, value, len);
	while (at % 4 != 0)
		to[at++] = 0;
	return at;
}

static size_t
put_text(uint8_t *to, size_t at, uint16_t code, const char *text)
{
	return text != NULL ? put_option(to, at, code, text, strnlen(text, TEXT_MAX)) : at;
}

/** Leave room for type and length. */
static size_t
record_begin(uint8_t *to, enum pcapng_type type)
{
	return put_u32(to, 0, type) + sizeof(uint32_t);
}

/** End the options, and write the length at both ends. */
static size_t
record_end(uint8_t *to, size_t at)
{
	at = put_u32(to, at, OPT_END);
	put_u32(to, sizeof(uint32_t), at + sizeof(uint32_t));
	return put_u32(to, at, at + sizeof(uint32_t));
}

size_t
pcapng_section(uint8_t *to)
{
	const uint16_t version[] = {1, 0};
	const int64_t length_unknown = -1;
	size_t at = record_begin(to, PCAPNG_SECTION);

	at = put_u32(to, at, BYTE_ORDER_MAGIC);
	at = put(to, at, version, sizeof(version));
	at = put(to, at, &length_unknown, sizeof(length_unknown));
	at = put_text(to, at, SHB_USERAPPL, "weir " WEIR_VERSION);
	return record_end(to, at);
}

size_t
pcapng_interface(uint8_t *to, const struct pcapng_interface *interface)
{
	const uint16_t link[] = {LINKTYPE_ETHERNET, 0};
	const uint8_t resolution = TSRESOL_NS;
	uint8_t filter[1 + TEXT_MAX] = {0}; /* its first byte: libpcap's language */
	size_t at = record_begin(to, PCAPNG_INTERFACE), len;

	at = put(to, at, link, sizeof(link));
	at = put_u32(to, at, interface->snaplen);
	at = put_text(to, at, IF_NAME, interface->name);
	at = put_text(to, at, IF_DESCRIPTION, interface->description);
	at = put_option(to, at, IF_TSRESOL, &resolution, sizeof(resolution));
	if (interface->filter != NULL) {
		len = strnlen(interface->filter, TEXT_MAX);
		memcpy(filter + 1, interface->filter, len);
		at = put_option(to, at, IF_FILTER, filter, 1 + len);
	}
	return record_end(to, at);
}

size_t
pcapng_statistics(uint8_t *to, uint32_t interface, const struct pcapng_statistics *statistics)
{
	size_t at = record_begin(to, PCAPNG_STATISTICS);

	at = put_u32(to, at, interface);
	at = put_u32(to, at, statistics->now_ns >> 32);
	at = put_u32(to, at, statistics->now_ns);
	at = put_option(to, at, ISB_IFRECV, &statistics->received, sizeof(uint64_t));
	at = put_option(to, at, ISB_IFDROP, &statistics->missed, sizeof(uint64_t));
	at = put_option(to, at, ISB_FILTERACCEPT, &statistics->accepted, sizeof(uint64_t));
	return record_end(to, at);
}

uint32_t
pcapng_padding_len(uint64_t len, uint32_t align)
{
	uint32_t behind = len % align, room = behind > 0 ? align - behind : 0;

	return room > 0 && room < PCAPNG_PADDING_MIN ? room + align : room;
}

void
pcapng_padding(uint8_t *to, uint32_t len)
{
	if (len == 0)
		return;
	memset(to, 0, len);
	put_u32(to, 0, PCAPNG_PADDING);
	put_u32(to, sizeof(uint32_t), len);
	put_u32(to, len - sizeof(uint32_t), len);
}

uint32_t
pcapng_length(const uint8_t *record)
{
	uint32_t length;

	memcpy(&length, record + sizeof(uint32_t), sizeof(length));
	return length;
}

enum pcapng_type
pcapng_type(const uint8_t *record)
{
	uint32_t type;

	memcpy(&type, record, sizeof(type));
	return type;
}

uint64_t
pcapng_count(const uint8_t *records, size_t len)
{
	uint64_t n = 0;
	size_t at;

	for (at = 0; at < len; at += pcapng_length(records + at))
		n += pcapng_type(records + at) == PCAPNG_PACKET;
	return n;
}

/** The first @p len bytes of a frame of several pieces. */
static void
copy_pieces(uint8_t *to, uint32_t len, const struct weir_tx_segment *segments)
{
	uint16_t i, n = segments->n_segments;
	uint32_t part;

	for (i = 0; i < n && len > 0; i++, len -= part, to += part) {
		part = RTE_MIN(len, segments[i].len);
		rte_memcpy(to, segments[i].addr, part);
	}
	/* Its pieces are shorter than it says: nothing of another frame shows here. */
	memset(to, 0, len);
}

/** Likewise, with the tag that lies beside the frame. */
static void
copy_tagged(uint8_t *to, uint32_t len, const struct weir_tx_segment *segments)
{
	const uint16_t tci = segments->offload.vlan_tci;
	const uint8_t tag[VLAN_LEN] = {VLAN_TPID >> 8, VLAN_TPID & 0xff, tci >> 8, tci & 0xff};
	uint32_t behind = len > VLAN_AT + VLAN_LEN ? len - VLAN_AT - VLAN_LEN : 0;

	copy_pieces(to, RTE_MIN(len, VLAN_AT + behind), segments);
	memmove(to + VLAN_AT + VLAN_LEN, to + VLAN_AT, behind);
	if (len > VLAN_AT)
		memcpy(to + VLAN_AT, tag, RTE_MIN(len - VLAN_AT, (uint32_t)VLAN_LEN));
}

void
pcapng_packet(uint8_t *to, uint32_t interface, uint64_t now_ns, enum pcapng_way way,
	      uint32_t captured, const struct weir_tx_segment *segments)
{
	const uint32_t length = pcapng_packet_len(captured), data = sizeof(struct packet_head);
	bool tagged = segments->offload.flags & WEIR_OFFLOAD_VLAN;
	struct packet_head head = {
		.type = PCAPNG_PACKET,
		.length = length,
		.interface = interface,
		.time_high = now_ns >> 32,
		.time_low = (uint32_t)now_ns,
		.captured = captured,
		.original = segments->frame_len + (tagged ? VLAN_LEN : 0),
	};
	struct packet_tail tail = {
		.flags_code = EPB_FLAGS,
		.flags_len = sizeof(uint32_t),
		.flags = way,
		.end = OPT_END,
		.length = length,
	};

	memcpy(to, &head, sizeof(head));
	/* What pads the data to four bytes: overwritten by it where there is none. */
	memset(to + length - sizeof(tail) - sizeof(uint32_t), 0, sizeof(uint32_t));
	if (unlikely(tagged))
		copy_tagged(to + data, captured, segments);
	else if (likely(captured <= segments->len))
		rte_memcpy(to + data, segments->addr, captured);
	else
		copy_pieces(to + data, captured, segments);
	memcpy(to + length - sizeof(tail), &tail, sizeof(tail));
}
