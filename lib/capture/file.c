/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file, or the row of files. It always ends behind a whole record: what a full disk
 * cut is cut off again, further back by as much as the statistics take, which then
 * still find room.
 *
 * Full blocks are written past the page cache, where the file system can: that takes
 * hardly any processor time, where the way through it is a copy to memory that is to be
 * found first. It goes by whole pages, in the file and in memory: padding, which readers
 * step over, brings a block to that, and the file, when something else was written.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_branch_prediction.h>

#include "capture.h"
#include "weir_error.h"

/* As direct I/O wants it: no file system has larger blocks. */
#define PAGE 4096U

/** PATH, or with rotation PATH_00001 with its extension behind that. */
static void
file_path(const struct capture_file *file, uint64_t number, char *path, size_t size)
{
	const char *name = file->keys->path, *base = strrchr(name, '/'), *dot;
	int front;

	dot = strrchr(base != NULL ? base + 1 : name, '.');
	front = dot != NULL ? (int)(dot - name) : (int)strlen(name);
	if (file->keys->rotate_bytes == 0)
		snprintf(path, size, "%s", name);
	else
		snprintf(path, size, "%.*s_%05lu%s", front, name, (unsigned long)number,
			 name + front);
}

static int
file_fail(const struct capture_file *file, int error)
{
	return weir_error(error, "file=%s: %s", file->path, strerror(error));
}

/** Write all of it behind what is there, or say how much. */
static int
file_append(struct capture_file *file, const uint8_t *from, uint32_t len, uint32_t *done)
{
	ssize_t n;

	for (*done = 0; *done < len; *done += n) {
		n = pwrite(file->fd, from + *done, len - *done, file->size + *done);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			return n < 0 ? errno : ENOSPC;
	}
	return 0;
}

/** Append records, whole ones: as many as leave @p reserve bytes, when not all fit. */
static int
file_put(struct capture_file *file, const uint8_t *records, uint32_t len, uint32_t reserve,
	 uint32_t *kept)
{
	uint32_t done, length;
	int error = file_append(file, records, len, &done);

	*kept = len;
	if (error != 0) {
		for (*kept = 0; *kept < len; *kept += length) {
			length = pcapng_length(records + *kept);
			if (*kept + length + reserve > done)
				break;
		}
		if (ftruncate(file->fd, file->size + *kept) != 0)
			WEIR_LOG(capture, WARNING, "file=%s: its last record is cut: %s",
				 file->path, strerror(errno));
	}
	file->size += *kept;
	return error;
}

/** The same file, whatever has become of its name; -1 where it cannot be had: the other serves. */
static int
direct_open(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
}

static int
file_begin(struct capture_file *file)
{
	uint8_t record[PCAPNG_RECORD_MAX];
	struct stat st;
	uint32_t kept;
	int error;

	file->number++;
	file->size = 0;
	file->n_interfaces = 0;
	file->has_packets = false;
	file_path(file, file->number, file->path, sizeof(file->path));
	/* A pipe that nobody reads must not hold us. */
	file->fd = open(file->path, O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0600);
	if (file->fd < 0)
		return file_fail(file, errno);
	if (fstat(file->fd, &st) != 0 || !S_ISREG(st.st_mode))
		error = weir_error(EINVAL, "file=%s is not a regular file", file->path);
	else if (flock(file->fd, LOCK_EX | LOCK_NB) != 0)
		error = weir_error(EBUSY, "file=%s is being written by another capture",
				   file->path);
	else if (ftruncate(file->fd, 0) != 0)
		error = file_fail(file, errno);
	else if ((error = file_put(file, record, pcapng_section(record), 0, &kept)) != 0)
		error = file_fail(file, error);
	if (error != 0) {
		close(file->fd);
		file->fd = -1;
		return error;
	}
	file->direct = direct_open(file->fd);
	return 0;
}

/** Bytes that the statistics of the interfaces it has heard of take. */
static uint32_t
file_reserve(const struct capture_file *file)
{
	uint8_t record[PCAPNG_RECORD_MAX];

	return file->n_interfaces *
	       pcapng_statistics(record, 0, &(struct pcapng_statistics){.now_ns = 0});
}

/**
 * The interface behind one, or the first. They are only ever added to; the lock is not
 * held while the disk is waited for.
 */
static struct capture_interface *
interface_next(struct capture *capture, const struct capture_interface *interface)
{
	struct capture_interface *next;

	pthread_mutex_lock(&capture->lock);
	next = interface != NULL ? TAILQ_NEXT(interface, next) : TAILQ_FIRST(&capture->interfaces);
	pthread_mutex_unlock(&capture->lock);
	return next;
}

/** Tell the file of every interface up to @p last. */
static int
file_introduce(struct capture *capture, uint32_t last)
{
	struct capture_file *file = &capture->file;
	struct capture_interface *interface = NULL;
	char name[WEIR_OBJECT_NAMESIZE + 8], description[96];
	const struct pcapng_interface described = {
		.name = name,
		.description = description,
		.filter = capture->keys.filter,
		.snaplen = capture->keys.snaplen,
	};
	uint8_t record[PCAPNG_RECORD_MAX];
	uint32_t kept;
	int error;

	while ((interface = interface_next(capture, interface)) != NULL && interface->id <= last) {
		if (interface->id < file->n_interfaces)
			continue;
		snprintf(name, sizeof(name), "%s.%u", interface->guest, interface->index);
		snprintf(description, sizeof(description), "guest %s, queue pair %u",
			 interface->guest, interface->index);
		error = file_put(file, record, pcapng_interface(record, &described), 0, &kept);
		if (error != 0)
			return error;
		file->n_interfaces++;
	}
	return 0;
}

static void
direct_end(struct capture_file *file)
{
	if (file->direct >= 0)
		close(file->direct);
	file->direct = -1;
}

/** Finish with the statistics; on a full disk the file is whole without them. */
static void
file_end(struct capture *capture)
{
	struct capture_file *file = &capture->file;
	struct capture_interface *interface = NULL;
	uint8_t record[PCAPNG_RECORD_MAX];
	uint32_t len, kept;

	if (file->fd < 0)
		return;
	direct_end(file);
	file_introduce(capture, UINT32_MAX);
	while ((interface = interface_next(capture, interface)) != NULL &&
	       interface->id < file->n_interfaces) {
		uint64_t captured = __atomic_load_n(&interface->captured, __ATOMIC_RELAXED);
		uint64_t missed = __atomic_load_n(&interface->missed, __ATOMIC_RELAXED);
		const struct pcapng_statistics statistics = {
			.now_ns = weir_capture_now(),
			.received = __atomic_load_n(&interface->seen, __ATOMIC_RELAXED),
			.accepted = captured + missed,
			.missed = missed + interface->unwritten,
		};

		len = pcapng_statistics(record, interface->id, &statistics);
		if (file_put(file, record, len, 0, &kept) != 0)
			break;
	}
	close(file->fd);
	file->fd = -1;
}

static void
file_show(struct capture *capture)
{
	pthread_mutex_lock(&capture->lock);
	strcpy(capture->shown_path, capture->file.path);
	pthread_mutex_unlock(&capture->lock);
	weir_count(&capture->n_files, 1);
}

/** The next of a row, and the oldest goes. */
static int
file_rotate(struct capture *capture)
{
	struct capture_file *file = &capture->file;
	char old[sizeof(file->path)];
	int error;

	file_end(capture);
	error = file_begin(file);
	if (error != 0)
		return error;
	file_show(capture);
	if (file->keys->n_files != 0 && file->number > file->keys->n_files) {
		file_path(file, file->number - file->keys->n_files, old, sizeof(old));
		unlink(old);
	}
	return 0;
}

/** The first file. Before the writer runs. */
int
capture_file_open(struct capture *capture)
{
	int rc;

	capture->file.keys = &capture->keys;
	capture->file.fd = -1;
	capture->file.direct = -1;
	rc = file_begin(&capture->file);
	if (rc != 0)
		return weir_error(-rc, "--capture: %s", weir_error_text());
	file_show(capture);
	return 0;
}

static bool
file_is_full(const struct capture_file *file, uint32_t len)
{
	return file->keys->rotate_bytes != 0 && file->has_packets &&
	       file->size + file->flying + len + file_reserve(file) > file->keys->rotate_bytes;
}

/** Have the file end at a whole page, when nothing is on its way; whether it does. */
static bool
file_align(struct capture_file *file)
{
	uint32_t len = pcapng_padding_len(file->size, PAGE), kept;
	uint8_t padding[2 * PAGE];

	if (file->flying > 0 || len == 0)
		return true; /* what flies is whole pages */
	pcapng_padding(padding, len);
	return file_put(file, padding, len, 0, &kept) == 0;
}

/**
 * Have a block written behind those that are on their way. capture_file_settle() for each
 * of them, in this order, must follow disk_wait().
 *
 * @return
 *   Whether it is on its way; false where something else is to be done before, and
 *   capture_file_write() does it.
 */
bool
capture_file_submit(struct capture *capture, struct capture_block *block, uint32_t len)
{
	struct capture_file *file = &capture->file;
	uint32_t padding = 0, before = 0;
	int fd = file->fd;

	if (file->direct >= 0) {
		padding = pcapng_padding_len(len, PAGE);
		before = pcapng_padding_len(file->size, PAGE);
	}
	block->length = len + padding;
	if (block->interface->id >= file->n_interfaces ||
	    file_is_full(file, before + block->length))
		return false;
	if (file->direct >= 0) {
		pcapng_padding(block->data + len, padding);
		if (!file_align(file))
			return false;
		fd = file->direct;
	}
	if (!disk_submit(capture, block, fd, file->size + file->flying, block->length))
		return false;
	file->has_packets = true;
	file->flying += block->length;
	return true;
}

/**
 * Take note of what a request came to. What it left undone is done once more, by a call
 * that says why it cannot be.
 */
int
capture_file_settle(struct capture *capture, const struct capture_block *block, uint32_t len,
		    uint32_t *written)
{
	struct capture_file *file = &capture->file;
	int error = 0;

	file->flying -= block->length;
	*written = len;
	if (likely(block->result == (int32_t)block->length)) {
		file->size += block->length;
		return 0;
	}
	/* A file system that lets itself be asked and then cannot. */
	if (block->result == -EINVAL)
		direct_end(file);
	error = file_put(file, block->data, block->length, file_reserve(file), written);
	*written = RTE_MIN(*written, len);
	return error != 0 ? file_fail(file, error) : 0;
}

/**
 * Append records of one interface.
 *
 * @param written
 *   Bytes of them that are in the file.
 * @return 0, or negative errno with the reason.
 */
int
capture_file_write(struct capture *capture, const struct capture_interface *interface,
		   const uint8_t *records, uint32_t len, uint32_t *written)
{
	struct capture_file *file = &capture->file;
	int error = 0;

	*written = 0;
	if (file_is_full(file, len)) {
		error = file_rotate(capture);
		if (error != 0)
			return error;
	}
	if (interface->id >= file->n_interfaces)
		error = file_introduce(capture, interface->id);
	if (error == 0) {
		file->has_packets = true;
		error = file_put(file, records, len, file_reserve(file), written);
	}
	return error != 0 ? file_fail(file, error) : 0;
}

/** Finish the last file. */
void
capture_file_close(struct capture *capture)
{
	file_end(capture);
}
