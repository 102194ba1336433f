/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PCAPNG_H
#define PCAPNG_H

/*
 * Records of a pcapng file, in this machine's byte order, as the format has it.
 *
 * @see draft-ietf-opsawg-pcapng: 4.1 section header, 4.2 interface description,
 *   4.3 enhanced packet, 4.6 interface statistics
 */

#include <stddef.h>
#include <stdint.h>

struct weir_tx_segment;

/** Section, interface and statistics records are shorter. */
#define PCAPNG_RECORD_MAX 1024
/** The shortest padding. */
#define PCAPNG_PADDING_MIN 12U

/** Of the enhanced packet's flags: which way it went. */
enum pcapng_way {
	PCAPNG_INBOUND = 1,
	PCAPNG_OUTBOUND = 2,
};

struct pcapng_interface {
	const char *name;
	const char *description;
	const char *filter; /* or NULL */
	uint32_t snaplen;
};

struct pcapng_statistics {
	uint64_t now_ns;
	uint64_t received; /* frames seen */
	uint64_t accepted; /* of them by the filter */
	uint64_t missed;   /* of those, not in the file for want of staging, or disk */
};

/** What a record tells of itself. */
enum pcapng_type {
	PCAPNG_INTERFACE = 1,
	PCAPNG_STATISTICS = 5,
	PCAPNG_PACKET = 6,
	PCAPNG_SECTION = 0x0a0d0d0a,
	/* The highest bit: of no meaning to others, who step over it (3.1, local use). */
	PCAPNG_PADDING = 0x80000000 | 0x77656972,
};

/* Write a record at @p to, which has room for PCAPNG_RECORD_MAX bytes; its length. */
size_t pcapng_section(uint8_t *to);
size_t pcapng_interface(uint8_t *to, const struct pcapng_interface *interface);
size_t pcapng_statistics(uint8_t *to, uint32_t interface,
			 const struct pcapng_statistics *statistics);

/** Bytes of padding that bring @p len, of whole records, to a multiple of @p align. */
uint32_t pcapng_padding_len(uint64_t len, uint32_t align);
/** Padding of so many bytes: none, or PCAPNG_PADDING_MIN and more. */
void pcapng_padding(uint8_t *to, uint32_t len);

/** Length of a record that was written. */
uint32_t pcapng_length(const uint8_t *record);
enum pcapng_type pcapng_type(const uint8_t *record);

/** Packets in a run of whole records. */
uint64_t pcapng_count(const uint8_t *records, size_t len);

/** Length of a packet's record. */
static inline uint32_t
pcapng_packet_len(uint32_t captured)
{
	/* Header 28, flags option 8, end of options 4, length again 4. */
	return 44 + ((captured + 3) & ~3U);
}

/**
 * The first @p captured bytes of a frame, its VLAN tag in place, as one record of
 * pcapng_packet_len() bytes. The data path's.
 */
void pcapng_packet(uint8_t *to, uint32_t interface, uint64_t now_ns, enum pcapng_way way,
		   uint32_t captured, const struct weir_tx_segment *segments);

#endif
