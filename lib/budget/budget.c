/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>

#include <rte_branch_prediction.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include "budget.h"
#include "weir_error.h"
#include "weir_sanitize.h"

static void
budget_info(struct weir_object *object, struct rte_tel_data *dict)
{
	const struct weir_budget *budget = container_of(object, struct weir_budget, object);

	rte_tel_data_add_dict_string(dict, "name", object->name);
	rte_tel_data_add_dict_string(dict, "parent",
				     budget->parent ? budget->parent->object.name : "");
	rte_tel_data_add_dict_u64(dict, "children", budget->n_children);
	rte_tel_data_add_dict_u64(dict, "limit_bytes", weir_budget_limit_bytes(budget));
	rte_tel_data_add_dict_string(dict, "fair", budget->fair ? "on" : "off");
	rte_tel_data_add_dict_string(dict, "shut_down", budget->shutdown ? "yes" : "no");
}

static void
budget_stats(struct weir_object *object, struct rte_tel_data *dict)
{
	struct weir_budget_stats stats;

	weir_budget_stats(container_of(object, struct weir_budget, object), &stats);
	rte_tel_data_add_dict_u64(dict, "limit_bytes", stats.limit_bytes);
	rte_tel_data_add_dict_u64(dict, "used_bytes", stats.used_bytes);
	rte_tel_data_add_dict_u64(dict, "peak_bytes", stats.peak_bytes);
	rte_tel_data_add_dict_u64(dict, "refusals", stats.refusals);
	rte_tel_data_add_dict_u64(dict, "waits", stats.waits);
}

static struct weir_class budget_class = {
	.room = "budget",
	.info = budget_info,
	.stats = budget_stats,
};

WEIR_CLASS_REGISTER(budget_class);

struct weir_budget *
weir_budget_create(const char *name, struct weir_budget *parent, uint64_t limit_bytes)
{
	struct weir_budget *budget = rte_zmalloc("weir_budget", sizeof(*budget), 0);
	int rc;

	weir_sanitize_alloc();
	if (budget == NULL) {
		rte_errno = -weir_error(ENOMEM, "budget '%s': no memory", name);
		return NULL;
	}
	budget->parent = parent;
	budget->root = parent == NULL ? budget : parent->root;
	budget->limit = limit_bytes;
	rc = weir_object_add(&budget_class, &budget->object, name);
	if (rc != 0) {
		rte_free(budget);
		rte_errno = -rc;
		return NULL;
	}
	if (parent != NULL)
		__atomic_fetch_add(&parent->n_children, 1, __ATOMIC_RELAXED);
	return budget;
}

int
weir_budget_free(struct weir_budget *budget)
{
	if (budget == NULL)
		return 0;
	if (budget->n_children > 0)
		return weir_error(EBUSY, "budget '%s' has %u children: free them first",
				  budget->object.name, budget->n_children);
	if (weir_budget_used_bytes(budget) > 0)
		return weir_error(EBUSY, "budget '%s': %" PRIu64 " bytes are still reserved",
				  budget->object.name, weir_budget_used_bytes(budget));
	weir_object_remove(&budget_class, &budget->object);
	if (budget->parent != NULL)
		__atomic_fetch_sub(&budget->parent->n_children, 1, __ATOMIC_RELAXED);
	weir_sanitize_free();
	rte_free(budget);
	return 0;
}

struct weir_budget *
weir_budget_find(const char *name)
{
	struct weir_object *object = weir_object_find(&budget_class, name);

	return object == NULL ? NULL : container_of(object, struct weir_budget, object);
}

int
budget_look(const struct weir_budget *budget, uint64_t bytes)
{
	const struct weir_budget *level;
	uint64_t limit, used;
	int rc = 0;

	for (level = budget; level != NULL; level = level->parent) {
		limit = __atomic_load_n(&level->limit, __ATOMIC_SEQ_CST);
		used = __atomic_load_n(&level->used, __ATOMIC_SEQ_CST);
		/* The errors that waiting does not mend come first. */
		if (__atomic_load_n(&level->shutdown, __ATOMIC_SEQ_CST) != 0)
			return -ESHUTDOWN;
		if (bytes > limit)
			return -EMSGSIZE;
		if (used > limit || bytes > limit - used)
			rc = -EAGAIN;
	}
	return rc;
}

/** Take from one level only. @return whether there was room */
static bool
level_take(struct weir_budget *level, uint64_t bytes)
{
	uint64_t limit = __atomic_load_n(&level->limit, __ATOMIC_RELAXED);
	uint64_t used = __atomic_load_n(&level->used, __ATOMIC_RELAXED);
	uint64_t peak;

	do {
		if (used > limit || bytes > limit - used)
			return false;
	} while (!__atomic_compare_exchange_n(&level->used, &used, used + bytes, false,
					      __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	used += bytes;
	peak = __atomic_load_n(&level->peak, __ATOMIC_RELAXED);
	while (used > peak && !__atomic_compare_exchange_n(&level->peak, &peak, used, false,
							   __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	return true;
}

/** Give back to @p budget and its ancestors below @p end. */
static void
levels_give(struct weir_budget *budget, const struct weir_budget *end, uint64_t bytes)
{
	struct weir_budget *root = budget->root;

	for (; budget != end; budget = budget->parent)
		__atomic_fetch_sub(&budget->used, bytes, __ATOMIC_SEQ_CST);
	/* Partner: budget_wait() counts itself before it looks. */
	if (unlikely(__atomic_load_n(&root->waiters, __ATOMIC_SEQ_CST) != 0))
		budget_wake(root);
}

int
budget_take(struct weir_budget *budget, uint64_t bytes)
{
	struct weir_budget *level;
	int rc = budget_look(budget, bytes);

	if (rc != 0)
		return rc;
	for (level = budget; level != NULL; level = level->parent) {
		if (level_take(level, bytes))
			continue;
		/* Someone was faster. What was taken below may have refused others: wake them. */
		if (level != budget)
			levels_give(budget, level, bytes);
		return -EAGAIN;
	}
	return 0;
}

int
weir_budget_try_reserve(struct weir_budget *budget, uint64_t bytes)
{
	int rc;

	if (unlikely(budget->fair &&
		     __atomic_load_n(&budget->line.next, __ATOMIC_RELAXED) !=
			     __atomic_load_n(&budget->line.serving, __ATOMIC_RELAXED)))
		rc = -EAGAIN;
	else
		rc = budget_take(budget, bytes);
	if (unlikely(rc != 0))
		__atomic_fetch_add(&budget->refusals, 1, __ATOMIC_RELAXED);
	return rc;
}

void
weir_budget_release(struct weir_budget *budget, uint64_t bytes)
{
	levels_give(budget, NULL, bytes);
}

void
weir_budget_set_limit(struct weir_budget *budget, uint64_t limit_bytes)
{
	__atomic_store_n(&budget->limit, limit_bytes, __ATOMIC_SEQ_CST);
	budget_wake(budget->root);
}

void
weir_budget_set_fair(struct weir_budget *budget, bool fair)
{
	budget->fair = fair;
}

void
weir_budget_shutdown(struct weir_budget *budget)
{
	__atomic_store_n(&budget->shutdown, 1, __ATOMIC_SEQ_CST);
	budget_wake(budget->root);
}

uint64_t
weir_budget_used_bytes(const struct weir_budget *budget)
{
	return __atomic_load_n(&budget->used, __ATOMIC_RELAXED);
}

uint64_t
weir_budget_limit_bytes(const struct weir_budget *budget)
{
	return __atomic_load_n(&budget->limit, __ATOMIC_RELAXED);
}

const char *
weir_budget_name(const struct weir_budget *budget)
{
	return budget->object.name;
}

void
weir_budget_stats(const struct weir_budget *budget, struct weir_budget_stats *stats)
{
	stats->limit_bytes = weir_budget_limit_bytes(budget);
	stats->used_bytes = weir_budget_used_bytes(budget);
	stats->peak_bytes = __atomic_load_n(&budget->peak, __ATOMIC_RELAXED);
	stats->waits = __atomic_load_n(&budget->waits, __ATOMIC_RELAXED);
	stats->refusals = __atomic_load_n(&budget->refusals, __ATOMIC_RELAXED);
}
