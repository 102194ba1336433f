/* SPDX-License-Identifier: BSD-3-Clause */
/* What a front-end can do to a thread of ours: memory that goes away, calls that wait. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "guest.h"

#define SIZE (8 << 20)

static struct weir_guest guest;
static struct weir_pair pair;
static volatile sig_atomic_t n_previous;
static uint8_t *unrelated;
static struct sigaction installed; /* cmocka takes the signal for itself in each test */

/* Who had SIGBUS before: puts memory there, so that the read goes on. */
static void
previous(int number, siginfo_t *info, void *context)
{
	n_previous++;
	mmap(unrelated, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
	     0);
}

/** A file of SIZE that is mapped, and not there any more. */
static uint8_t *
map_truncated(unsigned int flags)
{
	int fd = memfd_create("guest", flags);
	uint8_t *host;

	sigaction(SIGBUS, &installed, NULL);
	if (fd < 0 || ftruncate(fd, SIZE) != 0) {
		close(fd);
		return NULL;
	}
	host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (host == MAP_FAILED) {
		close(fd);
		return NULL;
	}
	host[0] = host[SIZE - 1] = 1;
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	return host;
}

static void
watch(uint8_t *host)
{
	guest.fault.ranges[0] = (struct fault_range){(uintptr_t)host, SIZE};
	guest.fault.n_ranges = 1;
	guest.fault.happened = false;
	pair.broken = NULL;
	fault_watch(&guest);
}

static uint8_t
read_byte(const uint8_t *byte)
{
	return *(const volatile uint8_t *)byte;
}

static void
truncated_memory_reads_as_zeros_and_breaks_its_guest(void **state)
{
	uint8_t *host = map_truncated(0);

	watch(host);
	assert_false(guest.fault.happened);
	assert_int_equal(read_byte(host), 0);
	assert_true(guest.fault.happened);
	assert_string_equal(pair.broken, FAULT_TEXT);
	/* Written memory stays as it is written: each page is replaced once. */
	host[SIZE - 1] = 7;
	assert_int_equal(read_byte(&host[SIZE - 1]), 7);
	assert_int_equal(n_previous, 0);
	fault_forget(&guest);
	munmap(host, SIZE);
}

static void
truncated_huge_pages_read_as_zeros_too(void **state)
{
	uint8_t *host = map_truncated(MFD_HUGETLB);

	if (host == NULL)
		skip();
	watch(host);
	assert_int_equal(read_byte(&host[SIZE / 2 + 4097]), 0);
	assert_true(guest.fault.happened);
	fault_forget(&guest);
	munmap(host, SIZE);
}

static void
memory_that_is_not_known_yet_is_that_of_the_guest_at_work(void **state)
{
	uint8_t *host = map_truncated(0);

	guest.fault.happened = false;
	fault_suspect_guest(&guest);
	assert_int_equal(read_byte(host), 0);
	fault_suspect_guest(NULL);
	assert_true(guest.fault.happened);
	munmap(host, SIZE);
}

static void
memory_of_no_guest_goes_to_the_handler_before(void **state)
{
	uint8_t *host = map_truncated(0);

	unrelated = map_truncated(0);
	watch(host);
	assert_int_equal(read_byte(unrelated), 0);
	assert_int_equal(n_previous, 1);
	assert_false(guest.fault.happened);
	fault_forget(&guest);
	munmap(host, SIZE);
	munmap(unrelated, SIZE);
}

static void *
call(void *arg)
{
	return (void *)(uintptr_t)call_write(&pair, WEIR_PAIR_WAKE_TX);
}

static void
call_that_waits_is_ended_and_none_follows(void **state)
{
	unsigned int tries;
	pthread_t lcore;
	void *written;

	pair.broken = NULL;
	pair.call_fd[WEIR_PAIR_WAKE_TX] = eventfd(0, 0);
	assert_int_equal(eventfd_write(pair.call_fd[WEIR_PAIR_WAKE_TX], UINT64_MAX - 1), 0);
	assert_false(weir_pair_free_lcore(&pair));
	assert_int_equal(call_check_refused(&guest), 0);

	assert_int_equal(pthread_create(&lcore, NULL, call, NULL), 0);
	for (tries = 0; tries < 1000 && !weir_pair_free_lcore(&pair); tries++)
		usleep(1000);
	pthread_join(lcore, &written);
	assert_null(written);
	assert_non_null(pair.broken);
	assert_int_equal(call_check_refused(&guest), -EAGAIN);
	/* Would wait for ever. */
	assert_false(call_write(&pair, WEIR_PAIR_WAKE_TX));
	close(pair.call_fd[WEIR_PAIR_WAKE_TX]);
}

static void
call_that_is_written_is_left_alone(void **state)
{
	unsigned int i;

	pair.broken = NULL;
	pair.call_fd[WEIR_PAIR_WAKE_TX] = eventfd(0, EFD_NONBLOCK);
	for (i = 0; i < 100; i++) {
		assert_true(call_write(&pair, WEIR_PAIR_WAKE_TX));
		assert_false(weir_pair_free_lcore(&pair));
	}
	assert_null(pair.broken);
	close(pair.call_fd[WEIR_PAIR_WAKE_TX]);
}

int
main(void)
{
	struct sigaction action = {.sa_sigaction = previous, .sa_flags = SA_SIGINFO};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(truncated_memory_reads_as_zeros_and_breaks_its_guest),
		cmocka_unit_test(truncated_huge_pages_read_as_zeros_too),
		cmocka_unit_test(memory_that_is_not_known_yet_is_that_of_the_guest_at_work),
		cmocka_unit_test(memory_of_no_guest_goes_to_the_handler_before),
		cmocka_unit_test(call_that_waits_is_ended_and_none_follows),
		cmocka_unit_test(call_that_is_written_is_left_alone),
	};

	harness_eal();
	sigaction(SIGBUS, &action, NULL);
	fault_catch();
	sigaction(SIGBUS, NULL, &installed);
	call_catch();
	pthread_mutex_init(&guest.lock, NULL);
	guest.n_pairs = 1;
	guest.pairs[0] = &pair;
	pair.guest = &guest;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
