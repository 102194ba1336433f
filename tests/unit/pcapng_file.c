/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "pcapng_file.h"

static uint32_t
u32(const uint8_t *at)
{
	return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t
u16(const uint8_t *at)
{
	return at[0] | at[1] << 8;
}

/** The value of an option, and its length; NULL when there is none. */
static const uint8_t *
option(const uint8_t *at, const uint8_t *end, uint32_t code, uint32_t *len)
{
	while (at + 4 <= end && u16(at) != 0) {
		*len = u16(at + 2);
		assert_true(at + 4 + *len <= end);
		if (u16(at) == code)
			return at + 4;
		at += 4 + ((*len + 3) & ~3U);
	}
	/* Options end with their end, or there are none (3.5). */
	assert_true(at == end || (at + 4 == end && u32(at) == 0));
	return NULL;
}

static uint64_t
number(const uint8_t *at, const uint8_t *end, uint32_t code)
{
	uint32_t len = 0;
	const uint8_t *value = option(at, end, code, &len);

	if (value == NULL)
		return 0;
	assert_int_equal(len, 8);
	return u32(value) | (uint64_t)u32(value + 4) << 32;
}

static void
read_interface(struct pcapng_file *file, const uint8_t *body, const uint8_t *end)
{
	const uint8_t *value;
	uint32_t len = 0;

	assert_int_equal(u16(body), 1);
	assert_true(file->n_interfaces < PCAPNG_FILE_INTERFACES);
	file->snaplen = u32(body + 4);
	value = option(body + 8, end, 2, &len);
	assert_non_null(value);
	snprintf(file->names[file->n_interfaces++], sizeof(file->names[0]), "%.*s", (int)len,
		 (const char *)value);
	value = option(body + 8, end, 9, &len);
	assert_non_null(value);
	file->resolution = value[0];
	value = option(body + 8, end, 11, &len);
	if (value != NULL && value[0] == 0)
		snprintf(file->filter, sizeof(file->filter), "%.*s", (int)len - 1,
			 (const char *)value + 1);
}

static void
read_frame(struct pcapng_file *file, const uint8_t *body, const uint8_t *end)
{
	struct pcapng_frame *frame;
	const uint8_t *value;
	uint32_t len = 0;

	if ((file->n_frames & (file->n_frames - 1)) == 0)
		file->frames =
			realloc(file->frames, (2 * file->n_frames + 1) * sizeof(*file->frames));
	assert_non_null(file->frames);
	frame = &file->frames[file->n_frames++];
	frame->interface = u32(body);
	assert_true(frame->interface < file->n_interfaces);
	frame->time_ns = (uint64_t)u32(body + 4) << 32 | u32(body + 8);
	frame->captured = u32(body + 12);
	frame->original = u32(body + 16);
	frame->data = body + 20;
	assert_true(frame->captured <= frame->original);
	assert_true(frame->captured <= file->snaplen);
	body += 20 + ((frame->captured + 3) & ~3U);
	assert_true(body <= end);
	value = option(body, end, 2, &len);
	frame->flags = value != NULL ? u32(value) : 0;
}

static void
read_statistics(struct pcapng_file *file, const uint8_t *body, const uint8_t *end)
{
	assert_true(u32(body) < file->n_interfaces);
	file->n_statistics++;
	file->received += number(body + 12, end, 4);
	file->dropped += number(body + 12, end, 5);
	file->accepted += number(body + 12, end, 6);
}

static void
read_bytes(struct pcapng_file *file, const char *path)
{
	FILE *from = fopen(path, "rb");
	long size;

	if (from == NULL)
		fail_msg("there is no %s", path);
	fseek(from, 0, SEEK_END);
	size = ftell(from);
	rewind(from);
	file->size = size;
	file->bytes = malloc(size + 1);
	assert_non_null(file->bytes);
	assert_int_equal(fread(file->bytes, 1, size, from), size);
	fclose(from);
}

struct pcapng_file *
pcapng_file_read(const char *path)
{
	struct pcapng_file *file = calloc(1, sizeof(*file));
	uint64_t at;
	uint32_t len;

	assert_non_null(file);
	read_bytes(file, path);
	for (at = 0; at < file->size; at += len) {
		const uint8_t *body = file->bytes + at + 8, *end;

		assert_true(at + 12 <= file->size);
		len = u32(file->bytes + at + 4);
		if (len < 12 || len % 4 != 0 || len > file->size - at)
			fail_msg("%s: a block of %u bytes at %lu of %lu", path, len,
				 (unsigned long)at, (unsigned long)file->size);
		end = file->bytes + at + len - 4;
		assert_int_equal(u32(end), len);
		/* The section comes first, and there is one. */
		assert_int_equal(at == 0, u32(file->bytes + at) == 0x0a0d0d0a);
		switch (u32(file->bytes + at)) {
		case 0x0a0d0d0a:
			assert_int_equal(u32(body), 0x1a2b3c4d);
			assert_int_equal(u32(body + 4), 1);
			break;
		case 1:
			read_interface(file, body, end);
			break;
		case 5:
			read_statistics(file, body, end);
			break;
		case 6:
			read_frame(file, body, end);
			break;
		case 0xf7656972: /* padding, up to a whole page */
			assert_int_equal((at + len) % 4096, 0);
			file->n_paddings++;
			break;
		default:
			fail_msg("%s: a block of type %u", path, u32(file->bytes + at));
		}
	}
	return file;
}

void
pcapng_file_free(struct pcapng_file *file)
{
	free(file->frames);
	free(file->bytes);
	free(file);
}
