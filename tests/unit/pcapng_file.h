/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PCAPNG_FILE_H
#define PCAPNG_FILE_H

/**
 * Reads a pcapng file by the letter of the format, apart from the code that writes it.
 * A file that breaks it ends the test with a sentence.
 */

#include <stdint.h>

#define PCAPNG_FILE_INTERFACES 8

struct pcapng_frame {
	uint32_t interface;
	uint64_t time_ns;
	uint32_t captured, original;
	uint32_t flags; /* 1 inbound, 2 outbound */
	const uint8_t *data;
};

struct pcapng_file {
	uint8_t *bytes;
	uint64_t size;
	uint32_t n_interfaces;
	char names[PCAPNG_FILE_INTERFACES][64];
	char filter[64]; /* of the first */
	uint32_t snaplen;
	uint8_t resolution;
	uint64_t n_frames;
	struct pcapng_frame *frames;
	uint32_t n_statistics;
	uint32_t n_paddings;
	/* Sums over the statistics. */
	uint64_t received, dropped, accepted;
};

struct pcapng_file *pcapng_file_read(const char *path);
void pcapng_file_free(struct pcapng_file *file);

#endif
