/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vdev mempool_weir: how any program's pools are told to be elastic, on EAL's
 * command line. One instance serves the pools of a NUMA node, or all of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>

#include "pool.h"
#include "vdev_abi.h"
#include "weir_error.h"
#include "weir_keys.h"

#define VDEVS_MAX 16
#define KEEP_MS_DEFAULT 1000

struct vdev {
	char name[WEIR_OBJECT_NAMESIZE];
	struct weir_budget *budget;
	uint64_t base; /* objects, or percent */
	bool base_percent;
	uint64_t slab_bytes, keep_ms, block;
	int numa_node; /* or SOCKET_ID_ANY */
	bool check;
};

static struct vdev vdevs[VDEVS_MAX];
static unsigned int n_vdevs;

static const char *const vdev_keys[] = {"budget", "base",  "slab",  "keep_ms",
					"numa",	  "block", "check", NULL};

/** base=N objects or base=N% of what the program asks for. */
static int
vdev_base(struct vdev *vdev, const struct weir_keys *keys)
{
	const char *text = weir_keys_get(keys, "base");
	char *end;

	if (text == NULL)
		return 0;
	errno = 0;
	vdev->base = strtoull(text, &end, 10);
	vdev->base_percent = strcmp(end, "%") == 0;
	if (errno != 0 || *text < '0' || *text > '9' || (*end != '\0' && !vdev->base_percent) ||
	    vdev->base == 0 || vdev->base > (vdev->base_percent ? 100u : UINT32_MAX))
		return weir_error(EINVAL,
				  "%s: base=%s: a number of objects, or 1%% to 100%% of those "
				  "that the program asks for, is needed",
				  vdev->name, text);
	return 0;
}

static int
vdev_parse(struct vdev *vdev, const struct weir_keys *keys)
{
	uint64_t budget_bytes = WEIR_BUDGET_UNLIMITED, numa = UINT64_MAX;
	int rc;

	vdev->base = 100;
	vdev->base_percent = true;
	vdev->slab_bytes = WEIR_MEMPOOL_SLAB_BYTES;
	vdev->block = 1;
	vdev->keep_ms = KEEP_MS_DEFAULT;
	rc = weir_keys_bytes(keys, "budget", 1 << 20, UINT64_MAX - 1, &budget_bytes);
	if (rc == 0)
		rc = vdev_base(vdev, keys);
	if (rc == 0)
		rc = weir_keys_bytes(keys, "slab", 4096, 1 << 30, &vdev->slab_bytes);
	if (rc == 0)
		rc = weir_keys_number(keys, "keep_ms", 0, 3600000, &vdev->keep_ms);
	if (rc == 0)
		rc = weir_keys_number(keys, "numa", 0, RTE_MAX_NUMA_NODES - 1, &numa);
	if (rc == 0)
		rc = weir_keys_number(keys, "block", 1, UINT16_MAX, &vdev->block);
	if (rc == 0 && vdev->block > 1 && !(vdev->base_percent && vdev->base == 100))
		rc = weir_error(EINVAL,
				"%s: block=%" PRIu64 " and base=%" PRIu64
				"%s: pools of blocks have all "
				"their objects from the start: leave one of them away",
				vdev->name, vdev->block, vdev->base, vdev->base_percent ? "%" : "");
	if (rc == 0)
		rc = weir_keys_switch(keys, "check", &vdev->check);
	if (rc != 0)
		return rc;
	/* A whole huge page: the heap's own header has to fit in it too. */
	if (vdev->slab_bytes == WEIR_MEMPOOL_SLAB_BYTES + 256)
		vdev->slab_bytes = WEIR_MEMPOOL_SLAB_BYTES;
	vdev->numa_node = numa == UINT64_MAX ? SOCKET_ID_ANY : (int)numa;
	if (budget_bytes != WEIR_BUDGET_UNLIMITED) {
		vdev->budget = weir_budget_create(vdev->name, NULL, budget_bytes);
		if (vdev->budget == NULL)
			return -rte_errno;
	}
	return 0;
}

static int
vdev_probe(struct rte_vdev_device *device)
{
	const char *args = device->device.devargs != NULL && device->device.devargs->args != NULL
				   ? device->device.devargs->args
				   : "";
	struct weir_keys *keys;
	struct vdev *vdev;
	int rc;

	/* A secondary process finds the pools as the primary made them. */
	if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
		order_follow();
		return 0;
	}
	if (n_vdevs == VDEVS_MAX) {
		rc = weir_error(ENOSPC, "%s: there are %d of its kind already", device->device.name,
				VDEVS_MAX);
		goto fail;
	}
	vdev = &vdevs[n_vdevs];
	memset(vdev, 0, sizeof(*vdev));
	snprintf(vdev->name, sizeof(vdev->name), "%s", device->device.name);
	keys = weir_keys_parse(vdev->name, args, vdev_keys, NULL);
	rc = keys == NULL ? -rte_errno : vdev_parse(vdev, keys);
	weir_keys_free(keys);
	if (rc != 0)
		goto fail;
	n_vdevs++;
	order_leave();
	return 0;
fail:
	WEIR_LOG(pool, ERR, "%s", weir_error_text());
	return rc;
}

static int
vdev_remove(struct rte_vdev_device *device)
{
	unsigned int i;

	for (i = 0; i < n_vdevs; i++)
		if (strcmp(vdevs[i].name, device->device.name) == 0)
			break;
	if (i == n_vdevs)
		return 0;
	if (weir_budget_free(vdevs[i].budget) != 0) {
		WEIR_LOG(pool, ERR, "%s stays: %s", vdevs[i].name, weir_error_text());
		return -EBUSY;
	}
	memmove(&vdevs[i], &vdevs[i + 1], (--n_vdevs - i) * sizeof(vdevs[0]));
	return 0;
}

bool
vdev_conf(int numa_node, uint32_t n, struct weir_mempool_conf *conf)
{
	const struct vdev *vdev = NULL;
	unsigned int i;
	uint64_t base;

	/* The node's own goes before the one that serves all. */
	for (i = 0; i < n_vdevs; i++)
		if (vdevs[i].numa_node == numa_node ||
		    (vdev == NULL && vdevs[i].numa_node == SOCKET_ID_ANY))
			vdev = &vdevs[i];
	if (vdev == NULL)
		return false;
	base = vdev->base_percent ? (n * vdev->base + 99) / 100 : vdev->base;
	conf->budget = vdev->budget;
	conf->populate = RTE_MIN(base, n);
	conf->slab_bytes = vdev->slab_bytes;
	conf->keep_ms = vdev->keep_ms;
	conf->block = vdev->block;
	conf->check = vdev->check;
	return true;
}

static struct rte_vdev_driver vdev_driver = {
	.driver.name = "mempool_weir",
	.probe = vdev_probe,
	.remove = vdev_remove,
};

void
vdev_register(void)
{
	rte_vdev_register(&vdev_driver);
}
