/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_common.h>

#include "weir_lock.h"
#include "weir_sanitize.h"
#include "weir_turn.h"

bool
weir_turn_asymmetric(void)
{
#ifdef WEIR_SANITIZE_THREAD
	return false;
#else
	static int8_t has_membarrier = -1;
	int8_t has = __atomic_load_n(&has_membarrier, __ATOMIC_RELAXED);

	if (has < 0) {
		has = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
		__atomic_store_n(&has_membarrier, has, __ATOMIC_RELAXED);
	}
	return has;
#endif
}

__rte_noinline __rte_cold void
weir_turn_wait_for_thief(struct weir_turn *turn)
{
	uint32_t spins = 0;

	__atomic_store_n(&turn->busy, 0, __ATOMIC_RELEASE);
	while (__atomic_load_n(&turn->thief, __ATOMIC_ACQUIRE) != 0)
		weir_lock_relax(&spins);
}

void
weir_turn_fence(bool asymmetric)
{
	if (asymmetric)
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

void
weir_turn_steal(const struct weir_turn *turn)
{
	uint32_t spins = 0;

	while (__atomic_load_n(&turn->busy, __ATOMIC_ACQUIRE) != 0)
		weir_lock_relax(&spins);
}
