/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_launch.h>
#include <rte_lcore.h>

#include "harness.h"
#include "capture.h"
#include "forbid_uring.h"
#include "pcapng_file.h"
#include "weir_budget.h"
#include "weir_error.h"

static char dir[] = "/tmp/weir-capture-test-XXXXXX";

static const char *
path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/** The keys, with a file in our directory. */
static int
start(const char *name, const char *more)
{
	char keys[512];

	snprintf(keys, sizeof(keys), "name=%s,file=%s/%s.pcapng,%s", name, dir, name, more);
	return weir_capture_start(keys);
}

static void
assert_text(const char *part)
{
	if (strstr(weir_error_text(), part) == NULL)
		fail_msg("'%s' does not say '%s'", weir_error_text(), part);
}

static struct pcapng_file *
file_of(const char *name)
{
	char file[64];

	snprintf(file, sizeof(file), "%s.pcapng", name);
	return pcapng_file_read(path_of(file));
}

/* The test is the lcore. */

static struct weir_capture_tee *tees;
static struct weir_capture_point point;
static uint8_t frame[70000];

static void
run_here(struct weir_target *target, void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

static struct weir_target here = {.run = run_here};

static void
changed(struct weir_capture_point *at, struct weir_capture_tee *now)
{
	tees = now;
}

static int
point_begin(void **state)
{
	point = (struct weir_capture_point){.guest = "g0", .changed = changed};
	weir_capture_point_add(&point);
	weir_capture_point_up(&point, "up", &here);
	return 0;
}

static int
point_end(void **state)
{
	weir_capture_stop_all();
	assert_null(tees);
	weir_capture_point_down(&point);
	weir_capture_point_remove(&point);
	return 0;
}

static struct weir_tx_segment
segment_of(uint32_t len)
{
	return (struct weir_tx_segment){
		.addr = frame, .len = len, .frame_len = len, .n_segments = 1};
}

static void
see(enum weir_capture_side side, uint32_t len)
{
	struct weir_tx_segment segment = segment_of(len);

	weir_capture_stage(tees, side, weir_capture_now(), &segment);
	weir_capture_keep(tees);
}

/* Records. */

static void
frames_are_read_back_as_they_went(void **state)
{
	static const uint32_t lengths[] = {14, 15, 60, 61, 1514, 65535, 65557};
	struct pcapng_file *file;
	uint64_t before = harness_now_ns(), after;
	uint32_t i;

	assert_int_equal(start("c", "guest=g0"), 0);
	for (i = 0; i < RTE_DIM(lengths); i++)
		see(i % 2 == 0 ? WEIR_CAPTURE_TX : WEIR_CAPTURE_RX, lengths[i]);
	after = harness_now_ns();
	assert_int_equal(weir_capture_stop("c"), 0);
	file = file_of("c");
	assert_int_equal(file->n_frames, RTE_DIM(lengths));
	assert_int_equal(file->n_interfaces, 1);
	assert_string_equal(file->names[0], "g0.0");
	assert_int_equal(file->resolution, 9);
	for (i = 0; i < RTE_DIM(lengths); i++) {
		const struct pcapng_frame *got = &file->frames[i];

		assert_int_equal(got->captured, lengths[i]);
		assert_int_equal(got->original, lengths[i]);
		assert_int_equal(got->flags, i % 2 == 0 ? 2 : 1);
		assert_memory_equal(got->data, frame, lengths[i]);
		/* The two clocks may differ by what a look at them takes. */
		assert_in_range(got->time_ns, before - 1000000, after + 1000000);
	}
	assert_int_equal(file->n_statistics, 1);
	assert_int_equal(file->received, RTE_DIM(lengths));
	assert_int_equal(file->accepted, RTE_DIM(lengths));
	assert_int_equal(file->dropped, 0);
	pcapng_file_free(file);
}

static void
frames_are_cut_at_the_snap_length(void **state)
{
	struct weir_tx_segment pieces[3] = {segment_of(10), segment_of(20), segment_of(70)};
	uint8_t whole[100];
	struct pcapng_file *file;
	uint32_t i, len[] = {5, 12, 30, 99, 100};
	char name[8], more[64];

	memcpy(whole, frame, 10);
	memcpy(whole + 10, frame, 20);
	memcpy(whole + 30, frame, 70);
	pieces[0].frame_len = 100;
	pieces[0].n_segments = 3;
	for (i = 0; i < RTE_DIM(len); i++) {
		snprintf(name, sizeof(name), "s%u", i);
		snprintf(more, sizeof(more), "guest=g0,staging=2M,snaplen=%u", len[i]);
		assert_int_equal(start(name, more), 0);
	}
	/* All of them see it. */
	weir_capture_stage(tees, WEIR_CAPTURE_TX, weir_capture_now(), pieces);
	weir_capture_keep(tees);
	weir_capture_stop_all();
	for (i = 0; i < RTE_DIM(len); i++) {
		snprintf(name, sizeof(name), "s%u", i);
		file = file_of(name);
		assert_int_equal(file->n_frames, 1);
		assert_int_equal(file->snaplen, len[i]);
		assert_int_equal(file->frames[0].captured, len[i]);
		assert_int_equal(file->frames[0].original, 100);
		assert_memory_equal(file->frames[0].data, whole, len[i]);
		pcapng_file_free(file);
	}
}

static void
frame_longer_than_a_block_is_cut(void **state)
{
	const uint32_t most = CAPTURE_BLOCK_ROOM - pcapng_packet_len(0);
	struct weir_tx_segment pieces[5];
	struct pcapng_file *file;
	uint32_t i;

	for (i = 0; i < RTE_DIM(pieces); i++)
		pieces[i] = segment_of(65535);
	pieces[0].n_segments = RTE_DIM(pieces);
	pieces[0].frame_len = RTE_DIM(pieces) * 65535;
	assert_int_equal(start("long", "guest=g0,staging=1M"), 0);
	see(WEIR_CAPTURE_TX, 60);
	weir_capture_stage(tees, WEIR_CAPTURE_TX, weir_capture_now(), pieces);
	weir_capture_keep(tees);
	/* And one that is shorter than it says. */
	pieces[0].n_segments = 1;
	pieces[0].frame_len = 65600;
	weir_capture_stage(tees, WEIR_CAPTURE_TX, weir_capture_now(), pieces);
	weir_capture_keep(tees);
	assert_int_equal(weir_capture_stop("long"), 0);
	file = file_of("long");
	assert_int_equal(file->n_frames, 3);
	assert_int_equal(file->frames[1].captured, most);
	assert_int_equal(file->frames[1].original, 5 * 65535);
	for (i = 0; i < most; i++)
		assert_int_equal(file->frames[1].data[i], frame[i % 65535]);
	assert_int_equal(file->frames[2].captured, 65600);
	assert_memory_equal(file->frames[2].data, frame, 65535);
	for (i = 65535; i < 65600; i++)
		assert_int_equal(file->frames[2].data[i], 0);
	pcapng_file_free(file);
}

static void
tag_beside_a_frame_is_in_the_record(void **state)
{
	static const uint8_t tag[] = {0x81, 0, 0x20, 0x07};
	struct weir_tx_segment segment = segment_of(60);
	struct pcapng_file *file;
	uint32_t len[] = {64, 14, 12}, i;
	char name[8], more[64];

	segment.offload.flags = WEIR_OFFLOAD_VLAN;
	segment.offload.vlan_tci = 0x2007;
	for (i = 0; i < RTE_DIM(len); i++) {
		snprintf(name, sizeof(name), "v%u", i);
		snprintf(more, sizeof(more), "guest=g0,staging=2M,snaplen=%u,filter=vlan 7",
			 len[i]);
		assert_int_equal(start(name, more), 0);
	}
	weir_capture_stage(tees, WEIR_CAPTURE_RX, weir_capture_now(), &segment);
	weir_capture_keep(tees);
	weir_capture_stop_all();
	for (i = 0; i < RTE_DIM(len); i++) {
		uint8_t whole[64];

		memcpy(whole, frame, 12);
		memcpy(whole + 12, tag, 4);
		memcpy(whole + 16, frame + 12, 48);
		snprintf(name, sizeof(name), "v%u", i);
		file = file_of(name);
		assert_int_equal(file->n_frames, 1);
		assert_int_equal(file->frames[0].original, 64);
		assert_int_equal(file->frames[0].captured, len[i]);
		assert_memory_equal(file->frames[0].data, whole, len[i]);
		pcapng_file_free(file);
	}
}

static void
frame_that_is_not_kept_was_none(void **state)
{
	struct weir_tx_segment segment = segment_of(100);
	struct pcapng_file *file;

	assert_int_equal(start("k", "guest=g0"), 0);
	weir_capture_stage(tees, WEIR_CAPTURE_RX, weir_capture_now(), &segment);
	see(WEIR_CAPTURE_RX, 60);
	weir_capture_stage(tees, WEIR_CAPTURE_RX, weir_capture_now(), &segment);
	assert_int_equal(weir_capture_stop("k"), 0);
	file = file_of("k");
	assert_int_equal(file->n_frames, 1);
	assert_int_equal(file->frames[0].original, 60);
	assert_int_equal(file->received, 1);
	pcapng_file_free(file);
}

static void
only_the_direction_asked_for_is_captured(void **state)
{
	struct pcapng_file *file;

	assert_int_equal(start("t", "guest=g0,direction=tx"), 0);
	assert_int_equal(start("r", "guest=g0,direction=rx"), 0);
	see(WEIR_CAPTURE_TX, 60);
	see(WEIR_CAPTURE_TX, 61);
	see(WEIR_CAPTURE_RX, 62);
	weir_capture_stop_all();
	file = file_of("t");
	assert_int_equal(file->n_frames, 2);
	assert_int_equal(file->frames[1].original, 61);
	pcapng_file_free(file);
	file = file_of("r");
	assert_int_equal(file->n_frames, 1);
	assert_int_equal(file->frames[0].original, 62);
	pcapng_file_free(file);
}

/* Filter. */

/** An Ethernet and IPv4 header with ports behind it. */
static void
make_udp(uint8_t *to, uint16_t port)
{
	memset(to, 0, 60);
	to[12] = 8;
	to[14] = 0x45;
	to[17] = 46;
	to[23] = 17;
	to[36] = port >> 8;
	to[37] = port & 0xff;
}

static void
filter_decides_what_is_captured(void **state)
{
	struct weir_tx_segment pieces[60], whole;
	struct pcapng_file *file;
	uint8_t udp[60];
	uint32_t i;

	assert_int_equal(start("f", "filter='udp[2:2] = 80 and greater 60',guest=g0"), 0);
	assert_int_equal(start("x", "guest=g0,filter=\"udp dst port 80\",snaplen=20"), 0);
	for (i = 0; i < 10; i++) {
		make_udp(udp, i == 3 ? 80 : 81);
		whole = segment_of(sizeof(udp));
		whole.addr = udp;
		weir_capture_stage(tees, WEIR_CAPTURE_TX, 1, &whole);
		weir_capture_keep(tees);
	}
	/* In pieces of one byte: the filter sees the first forty. */
	make_udp(udp, 80);
	for (i = 0; i < 60; i++)
		pieces[i] = (struct weir_tx_segment){.addr = &udp[i], .len = 1};
	pieces[0].frame_len = pieces[0].n_segments = 60;
	weir_capture_stage(tees, WEIR_CAPTURE_TX, 1, pieces);
	weir_capture_keep(tees);
	weir_capture_stop_all();
	file = file_of("f");
	assert_string_equal(file->filter, "udp[2:2] = 80 and greater 60");
	assert_int_equal(file->n_frames, 1);
	assert_int_equal(file->received, 11);
	assert_int_equal(file->accepted, 1);
	pcapng_file_free(file);
	/* It goes by the frame, not by what is kept of it. */
	file = file_of("x");
	assert_int_equal(file->n_frames, 2);
	assert_int_equal(file->frames[0].captured, 20);
	pcapng_file_free(file);
}

static void
wrong_filter_gets_the_compilers_own_words(void **state)
{
	assert_int_equal(start("w", "guest=g0,filter=tcp prot 80"), -EINVAL);
	assert_text("syntax error");
	assert_int_equal(start("w", "guest=g0,filter=ip6 proto wombat"), -EINVAL);
	assert_text("wombat");
	assert_int_equal(start("w", "guest=g0,filter='tcp"), -EINVAL);
	assert_text("quote has no end");
	assert_int_equal(start("w", "guest=g0,filter="), -EINVAL);
	assert_int_equal(access(path_of("w.pcapng"), F_OK), -1);
}

/* Keys. */

static void
wrong_words_are_refused(void **state)
{
	assert_int_equal(weir_capture_start("name=c,guest=g0"), -EINVAL);
	assert_text("'file' is missing");
	assert_int_equal(start("c", "guest=g9"), -ENOENT);
	assert_text("there is no such guest");
	assert_int_equal(start("c", "endpoint=nowhere"), -ENOENT);
	assert_int_equal(start("c", "guest=g0,endpoint=up"), -EINVAL);
	assert_text("not both");
	assert_int_equal(start("c", "snaplen=64"), -EINVAL);
	assert_int_equal(start("c", "guest=g0,snaplen=0"), -EINVAL);
	assert_int_equal(start("c", "guest=g0,direction=in"), -EINVAL);
	assert_int_equal(start("c", "guest=g0,files=3"), -EINVAL);
	assert_text("without rotate=");
	assert_int_equal(start("c", "guest=g0,rotate=1000"), -EINVAL);
	assert_int_equal(weir_capture_start("name=c,guest=g0,file=/nowhere/c"), -ENOENT);
	assert_text("/nowhere/c");
	assert_int_equal(weir_capture_start("name=c,guest=g0,file=/dev/null"), -EINVAL);
	assert_text("not a regular file");
	assert_int_equal(weir_capture_stop("c"), -ENOENT);
	assert_null(tees);
}

static void
two_captures_share_neither_name_nor_file(void **state)
{
	char keys[256];

	assert_int_equal(start("one", "guest=g0"), 0);
	assert_int_equal(start("one", "guest=g0"), -EEXIST);
	snprintf(keys, sizeof(keys), "name=two,guest=g0,file=%s", path_of("one.pcapng"));
	assert_int_equal(weir_capture_start(keys), -EBUSY);
	assert_text("another capture");
}

static void
staging_is_reserved_from_the_budget(void **state)
{
	struct weir_budget *host = weir_budget_create("host", NULL, 48 << 20);

	weir_capture_set_budget(host);
	assert_int_equal(start("b1", "guest=g0,staging=32M"), 0);
	assert_true(weir_budget_used_bytes(host) >= 32 << 20);
	assert_int_equal(start("b2", "guest=g0,staging=32M"), -EAGAIN);
	assert_text("staging=");
	assert_int_equal(start("b3", "guest=g0,staging=64M"), -EMSGSIZE);
	assert_int_equal(start("b2", "guest=g0,staging=16M"), 0);
	weir_capture_stop_all();
	assert_int_equal(weir_budget_used_bytes(host), 0);
	weir_capture_set_budget(NULL);
	assert_int_equal(weir_budget_free(host), 0);
}

/* Life. */

static void
guest_that_comes_back_is_captured_again(void **state)
{
	struct weir_capture_point other = {.guest = "g1", .changed = changed};
	struct pcapng_file *file;

	weir_capture_point_down(&point);
	assert_int_equal(start("life", "guest=g0"), 0);
	assert_null(tees);
	weir_capture_point_up(&point, "up", &here);
	see(WEIR_CAPTURE_TX, 60);
	weir_capture_point_down(&point);
	assert_null(tees);
	/* Another guest is not this one. */
	weir_capture_point_add(&other);
	weir_capture_point_up(&other, "up", &here);
	assert_null(tees);
	weir_capture_point_down(&other);
	weir_capture_point_remove(&other);
	weir_capture_point_up(&point, "up", &here);
	see(WEIR_CAPTURE_TX, 61);
	assert_int_equal(weir_capture_stop("life"), 0);
	file = file_of("life");
	assert_int_equal(file->n_frames, 2);
	assert_int_equal(file->n_interfaces, 1);
	assert_int_equal(file->frames[0].interface, 0);
	pcapng_file_free(file);
}

static void
capture_is_stopped_in_two_steps_by_the_one_who_began(void **state)
{
	struct pcapng_file *file;
	unsigned int waits = 0;
	int rc;

	assert_int_equal(start("two", "guest=g0"), 0);
	see(WEIR_CAPTURE_TX, 60);
	assert_int_equal(weir_capture_stop_begin("none"), -ENOENT);
	assert_int_equal(weir_capture_stop_begin("two"), 0);
	assert_null(tees);
	assert_int_equal(weir_capture_stop_begin("two"), -EBUSY);
	assert_int_equal(weir_capture_stop("two"), -EBUSY);
	while ((rc = weir_capture_stop_end("two", 10)) == -EAGAIN && ++waits < 1000)
		;
	assert_int_equal(rc, 0);
	assert_int_equal(weir_capture_stop("two"), -ENOENT);
	file = file_of("two");
	assert_int_equal(file->n_frames, 1);
	pcapng_file_free(file);
}

static off_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

static void
block_that_does_not_fill_is_written_all_the_same(void **state)
{
	struct pcapng_file *file;
	off_t before;
	unsigned int i;

	assert_int_equal(start("p", "guest=g0"), 0);
	before = size_of(path_of("p.pcapng"));
	see(WEIR_CAPTURE_TX, 1000);
	for (i = 0; i < 500 && size_of(path_of("p.pcapng")) < before + 1000; i++)
		usleep(10000);
	assert_true(size_of(path_of("p.pcapng")) > before + 1000);
	/* While it runs, what is there is whole. */
	file = file_of("p");
	assert_int_equal(file->n_frames, 1);
	pcapng_file_free(file);
	see(WEIR_CAPTURE_TX, 1001);
	assert_int_equal(weir_capture_stop("p"), 0);
	file = file_of("p");
	assert_int_equal(file->n_frames, 2);
	assert_int_equal(file->frames[1].original, 1001);
	pcapng_file_free(file);
}

static void
full_blocks_are_whole_pages_of_the_file(void **state)
{
	const uint32_t per_block = CAPTURE_BLOCK_BYTES / pcapng_packet_len(64), n = 5 * per_block;
	int direct = open(path_of("probe"), O_WRONLY | O_CREAT | O_DIRECT, 0600);
	struct pcapng_file *file;
	uint32_t i;

	assert_int_equal(start("d", "guest=g0"), 0);
	for (i = 0; i < n; i++) {
		/* What a block has no room for is of every length, also less than a record. */
		memcpy(frame, &i, sizeof(i));
		see(WEIR_CAPTURE_TX, 64 + i % 41);
		/* Once a part of a block is written, which leaves the file to end anywhere. */
		if (i == per_block)
			usleep(2 * CAPTURE_PARTIAL_MS * 1000);
	}
	assert_int_equal(weir_capture_stop("d"), 0);
	file = file_of("d");
	assert_int_equal(file->n_frames, n);
	for (i = 0; i < n; i++) {
		assert_int_equal(file->frames[i].captured, 64 + i % 41);
		assert_memory_equal(file->frames[i].data, &i, sizeof(i));
	}
	/* Unless the file system has to do without. */
	assert_true(direct < 0 || file->n_paddings >= 3);
	close(direct);
	pcapng_file_free(file);
}

/** Keep the writer from its first block on, while its capture->lock is held. */
static struct capture *
hold_writer(const char *name)
{
	struct capture *capture;

	capture_registry_lock();
	capture = capture_find(name);
	capture_registry_unlock();
	pthread_mutex_lock(&capture->lock);
	return capture;
}

static void
exhausted_staging_counts_what_is_missed(void **state)
{
	const uint32_t len = 1000, record = pcapng_packet_len(len),
		       per_block = CAPTURE_BLOCK_BYTES / record;
	struct pcapng_file *file;
	struct capture *capture;
	uint32_t i, n = 4 * per_block + 100;

	assert_int_equal(start("m", "guest=g0,staging=1M"), 0);
	capture = hold_writer("m");
	for (i = 0; i < n; i++) {
		memcpy(frame, &i, sizeof(i));
		see(WEIR_CAPTURE_TX, len);
	}
	pthread_mutex_unlock(&capture->lock);
	assert_int_equal(weir_capture_stop("m"), 0);
	file = file_of("m");
	assert_int_equal(file->n_frames, 4 * per_block);
	assert_int_equal(file->received, n);
	assert_int_equal(file->accepted, n);
	assert_int_equal(file->dropped, 100);
	for (i = 0; i < file->n_frames; i++)
		assert_memory_equal(file->frames[i].data, &i, sizeof(i));
	pcapng_file_free(file);
}

static void
files_rotate_and_the_oldest_goes(void **state)
{
	uint32_t i, n = 5000, next = 0, part;
	struct pcapng_file *file;
	char name[64];

	assert_int_equal(start("all", "guest=g0,rotate=1M"), 0);
	assert_int_equal(start("few", "guest=g0,rotate=1M,files=2"), 0);
	for (i = 0; i < n; i++) {
		memcpy(frame, &i, sizeof(i));
		see(WEIR_CAPTURE_TX, 1000);
		if (i % 1000 == 0)
			usleep(20000); /* the writer may be slow, it must not miss any */
	}
	weir_capture_stop_all();
	for (part = 1; next < n; part++) {
		snprintf(name, sizeof(name), "all_%05u.pcapng", part);
		assert_true(size_of(path_of(name)) <= 1 << 20);
		file = pcapng_file_read(path_of(name));
		assert_true(file->n_frames > 0);
		for (i = 0; i < file->n_frames; i++, next++)
			assert_memory_equal(file->frames[i].data, &next, sizeof(next));
		/* Each file tells its interfaces and how many it missed. */
		assert_int_equal(file->n_interfaces, 1);
		assert_int_equal(file->n_statistics, 1);
		assert_int_equal(file->dropped, 0);
		pcapng_file_free(file);
	}
	assert_true(part > 5);
	for (i = 1; i < part; i++) {
		snprintf(name, sizeof(name), "few_%05u.pcapng", i);
		assert_int_equal(access(path_of(name), F_OK) == 0, i + 2 >= part);
	}
}

/* On a lcore of its own. */

static struct {
	struct weir_target target;
	void (*fn)(void *arg);
	void *arg;
	bool asked, quit;
	uint64_t n_seen; /* the lcore's */
} there;

static void
run_there(struct weir_target *target, void (*fn)(void *arg), void *arg)
{
	there.fn = fn;
	there.arg = arg;
	__atomic_store_n(&there.asked, true, __ATOMIC_RELEASE);
	while (__atomic_load_n(&there.asked, __ATOMIC_ACQUIRE))
		sched_yield();
}

static int
lcore_loop(void *arg)
{
	while (!__atomic_load_n(&there.quit, __ATOMIC_ACQUIRE)) {
		if (__atomic_load_n(&there.asked, __ATOMIC_ACQUIRE)) {
			there.fn(there.arg);
			__atomic_store_n(&there.asked, false, __ATOMIC_RELEASE);
		}
		if (tees != NULL) {
			see(WEIR_CAPTURE_TX, 100 + there.n_seen % 1400);
			there.n_seen++;
		} else {
			sched_yield();
		}
	}
	return 0;
}

static void
lcore_begin(void)
{
	weir_capture_point_down(&point);
	memset(&there, 0, sizeof(there));
	there.target.run = run_there;
	weir_capture_point_up(&point, "up", &there.target);
	assert_int_equal(rte_eal_remote_launch(lcore_loop, NULL, rte_get_next_lcore(-1, 1, 0)), 0);
}

static void
lcore_end(void)
{
	__atomic_store_n(&there.quit, true, __ATOMIC_RELEASE);
	rte_eal_wait_lcore(rte_get_next_lcore(-1, 1, 0));
}

static void
captures_come_and_go_beside_a_lcore(void **state)
{
	uint64_t before, total = 0;
	struct pcapng_file *file;
	unsigned int i;

	lcore_begin();
	for (i = 0; i < 20; i++) {
		before = there.n_seen;
		assert_int_equal(start("there", "guest=g0,staging=1M"), 0);
		usleep(i % 4 * 5000);
		assert_int_equal(weir_capture_stop("there"), 0);
		file = file_of("there");
		/* Every frame between the two is in the file, or counted. */
		assert_int_equal(file->received, there.n_seen - before);
		assert_int_equal(file->n_frames + file->dropped, there.n_seen - before);
		total += file->n_frames;
		pcapng_file_free(file);
	}
	assert_true(total > 0);
	lcore_end();
}

/** Whether the capture has ended by itself, and says so. */
static bool
has_ended(const char *name, const char *why)
{
	struct capture *capture = hold_writer(name);
	bool ended = capture->ended[0] != '\0';

	if (ended && strstr(capture->ended, why) == NULL)
		fail_msg("'%s' does not say '%s'", capture->ended, why);
	pthread_mutex_unlock(&capture->lock);
	return ended;
}

static void
file_that_takes_no_more_ends_the_capture_whole(void **state)
{
	const struct rlimit no_limit = {RLIM_INFINITY, RLIM_INFINITY};
	const struct rlimit limit = {2000000, RLIM_INFINITY};
	struct pcapng_file *file;
	unsigned int i;

	signal(SIGXFSZ, SIG_IGN);
	lcore_begin();
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(start("full", "guest=g0"), 0);
	for (i = 0; i < 2000 && !has_ended("full", "full.pcapng: File too large"); i++)
		usleep(10000);
	assert_true(has_ended("full", "File too large"));
	/* It has let go of the guest, and stays to tell why. */
	usleep(20000);
	assert_int_equal(weir_capture_stop("full"), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &no_limit), 0);
	file = file_of("full");
	assert_true(file->size <= 2000000 && file->size > 1990000);
	assert_int_equal(file->n_statistics, 1);
	assert_int_equal(file->received, there.n_seen);
	assert_int_equal(file->n_frames + file->dropped, file->received);
	pcapng_file_free(file);
	lcore_end();
}

static void
remove_dir(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	if (system(command) != 0)
		printf("%s is left\n", dir);
}

int
main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, point_begin, point_end)
	const struct CMUnitTest tests[] = {
		CLAIM(frames_are_read_back_as_they_went),
		CLAIM(frames_are_cut_at_the_snap_length),
		CLAIM(frame_longer_than_a_block_is_cut),
		CLAIM(tag_beside_a_frame_is_in_the_record),
		CLAIM(frame_that_is_not_kept_was_none),
		CLAIM(only_the_direction_asked_for_is_captured),
		CLAIM(filter_decides_what_is_captured),
		CLAIM(wrong_filter_gets_the_compilers_own_words),
		CLAIM(wrong_words_are_refused),
		CLAIM(two_captures_share_neither_name_nor_file),
		CLAIM(staging_is_reserved_from_the_budget),
		CLAIM(guest_that_comes_back_is_captured_again),
		CLAIM(capture_is_stopped_in_two_steps_by_the_one_who_began),
		CLAIM(block_that_does_not_fill_is_written_all_the_same),
		CLAIM(full_blocks_are_whole_pages_of_the_file),
		CLAIM(exhausted_staging_counts_what_is_missed),
		CLAIM(files_rotate_and_the_oldest_goes),
		CLAIM(file_that_takes_no_more_ends_the_capture_whole),
		CLAIM(captures_come_and_go_beside_a_lcore),
	};
	/* Once more without io_uring, which nothing brings back. */
	const struct CMUnitTest plain[] = {
		CLAIM(frames_are_read_back_as_they_went),
		CLAIM(full_blocks_are_whole_pages_of_the_file),
		CLAIM(exhausted_staging_counts_what_is_missed),
		CLAIM(files_rotate_and_the_oldest_goes),
		CLAIM(file_that_takes_no_more_ends_the_capture_whole),
		CLAIM(captures_come_and_go_beside_a_lcore),
	};
	int failed;
	uint32_t i;

	harness_eal();
	if (mkdtemp(dir) == NULL)
		return EXIT_FAILURE;
	for (i = 0; i < sizeof(frame); i++)
		frame[i] = i * 7 + i / 256;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (forbid_uring() == 0)
		failed += cmocka_run_group_tests(plain, NULL, NULL);
	else
		printf("without io_uring: skipped: no seccomp filter here\n");
	remove_dir();
	return failed;
}
