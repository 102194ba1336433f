/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VDEV_ABI_H
#define VDEV_ABI_H

/*
 * What a driver of the virtual device bus needs to know of it. DPDK 22.11 installs the
 * header that says so only where its enable_driver_sdk option was on, and Debian's has
 * it off; this declares the same interface, of which nothing else is used here.
 */
#if __has_include(<bus_vdev_driver.h>)
#include <bus_vdev_driver.h>
#else

#include <sys/queue.h>

#include <rte_compat.h>
#include <rte_devargs.h>
#include <rte_os.h>

struct rte_driver {
	RTE_TAILQ_ENTRY(rte_driver) next;
	const char *name;
	const char *alias;
};

struct rte_device {
	RTE_TAILQ_ENTRY(rte_device) next;
	const char *name;
	const char *bus_info;
	const struct rte_driver *driver;
	const struct rte_bus *bus;
	int numa_node;
	struct rte_devargs *devargs;
};

struct rte_vdev_device {
	RTE_TAILQ_ENTRY(rte_vdev_device) next;
	struct rte_device device;
};

struct rte_vdev_driver {
	RTE_TAILQ_ENTRY(rte_vdev_driver) next;
	struct rte_driver driver;
	int (*probe)(struct rte_vdev_device *vdev);
	int (*remove)(struct rte_vdev_device *vdev);
	int (*dma_map)(struct rte_vdev_device *vdev, void *addr, uint64_t iova, size_t len);
	int (*dma_unmap)(struct rte_vdev_device *vdev, void *addr, uint64_t iova, size_t len);
	uint32_t drv_flags;
};

void rte_vdev_register(struct rte_vdev_driver *driver);

#endif
#endif
