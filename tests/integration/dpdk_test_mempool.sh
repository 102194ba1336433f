#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# DPDK's own suites against the driver, loaded as a plug-in: mempool_autotest as an
# ordinary pool and with bursts. With `perf` mempool_perf_autotest as well, to its end, with
# seconds that are shortened (short_second.c); with `perf full` by the clock, which takes
# more than an hour. Exit code 77 with the reason where the host cannot.
set -euo pipefail

build=$(realpath "${WEIR_BUILD:-$(dirname "$0")/../../build}")
plugin=$build/drivers/mempool/weir/librte_mempool_weir.so

skip()
{
	echo "skipped: $*"
	exit 77
}

[ "$(id -u)" = 0 ] || skip "root is needed"
command -v dpdk-test >/dev/null || skip "dpdk-test is not installed"
[ "$(nproc)" -ge 2 ] || skip "dpdk-test's pools are too small on one lcore"

# EAL takes no plug-in from below a directory that everyone may write to: not from /tmp.
run=$(mktemp -d /run/weir-plugin.XXXXXX)
trap 'rm -rf "$run"' EXIT
cp "$plugin" "$run"
plugin=$run/${plugin##*/}

# suite NAME LIMIT EAL-OPTIONS...
suite()
{
	local name=$1 limit=$2 log
	shift 2
	log=$(timeout "$limit" dpdk-test -l 0-1 --no-pci --no-telemetry "${memory[@]}" \
		-d "$plugin" --mbuf-pool-ops-name=weir "$@" "$name" 2>&1) || true
	if ! grep -aq 'Testing weir mempool handler\|mempool_perf_autotest' <<<"$log"; then
		tail -n 20 <<<"$log"
		echo "FAILED: $name did not test the driver: $*"
		exit 1
	fi
	if ! grep -aq '^Test OK' <<<"$log"; then
		grep -avE 'cache_count\[' <<<"$log" | tail -n 20
		echo "FAILED: $name $*"
		exit 1
	fi
	echo "passed: $name $*"
}

if [ "$(awk '/HugePages_Free/ { print $2 }' /proc/meminfo)" -ge 256 ]; then
	memory=(--in-memory)
else
	memory=(--no-huge --no-shconf -m 1024)
fi

if [ "${1:-}" = perf ]; then
	[ "${2:-}" = full ] || export LD_PRELOAD=$build/tests/integration/libshort_second.so
	suite mempool_perf_autotest 7200
	exit
fi
suite mempool_autotest 60
suite mempool_autotest 60 --vdev=mempool_weir,base=25%
suite mempool_autotest 60 --vdev=mempool_weir,base=7,slab=16K,keep_ms=0,budget=64M
suite mempool_autotest 60 --vdev=mempool_weir,base=10%,check=on
