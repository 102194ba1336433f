/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the thread sanitizer cannot see: EAL orders the launch of a lcore's function
 * after all that the launcher did before, and the return of rte_eal_wait_lcore()
 * after all that the function did, by atomics in a library that is not instrumented.
 * The linker puts these functions around EAL's (--wrap), to say so.
 */
#include <rte_launch.h>
#include <rte_lcore.h>

void __tsan_acquire(void *addr);
void __tsan_release(void *addr);

int __real_rte_eal_remote_launch(lcore_function_t *fn, void *arg, unsigned int lcore);
int __wrap_rte_eal_remote_launch(lcore_function_t *fn, void *arg, unsigned int lcore);
int __real_rte_eal_wait_lcore(unsigned int lcore);
int __wrap_rte_eal_wait_lcore(unsigned int lcore);

/* One launch at a time a lcore: EAL refuses more. */
static struct launch {
	lcore_function_t *fn;
	void *arg;
} launches[RTE_MAX_LCORE];

static int
launch_run(void *arg)
{
	struct launch *launch = arg;
	int rc;

	__tsan_acquire(launch);
	rc = launch->fn(launch->arg);
	__tsan_release(launch);
	return rc;
}

int
__wrap_rte_eal_remote_launch(lcore_function_t *fn, void *arg, unsigned int lcore)
{
	struct launch *launch = &launches[lcore];

	if (rte_eal_get_lcore_state(lcore) != WAIT)
		return __real_rte_eal_remote_launch(fn, arg, lcore);
	*launch = (struct launch){fn, arg};
	__tsan_release(launch);
	return __real_rte_eal_remote_launch(launch_run, launch, lcore);
}

int
__wrap_rte_eal_wait_lcore(unsigned int lcore)
{
	int rc = __real_rte_eal_wait_lcore(lcore);

	__tsan_acquire(&launches[lcore]);
	return rc;
}
