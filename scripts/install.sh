#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Install the Debian packages that building, testing and the demo need: the missing
# ones only. With nothing missing it touches neither apt nor the network.
set -euo pipefail

die()
{
	echo "install: $*" >&2
	exit 1
}

# to build
packages=(gcc libc6-dev meson ninja-build pkg-config libdpdk-dev libnuma-dev liburing-dev libpcap-dev)
# a second compiler, and the sanitizers' run time and symbols
packages+=(clang llvm libclang-rt-14-dev)
# unit tests, and the model checker
packages+=(libcmocka-dev python3 util-linux spin)
# peers of the integration tests: testpmd, and Open vSwitch for the mempool driver
packages+=(dpdk dpdk-dev openvswitch-switch-dpdk)
# the Linux guest: its machine, and what its image is made of
packages+=(qemu-system-x86 busybox-static ethtool cpio gzip kmod lz4 xz-utils)
# the host's side of a test network
packages+=(iproute2 iputils-ping procps)
# who reads what capture writes, and its peers
packages+=(tshark tcpdump)
# charts of the benchmarks
packages+=(gnuplot-nox)
# lint
packages+=(clang-format codespell shellcheck man-db)
# allocators that weir-bench stands beside lib/bufpool
packages+=(libjemalloc2 libmimalloc2.0)

[ -r /etc/debian_version ] ||
	die "this is no Debian system: install the equivalent of: ${packages[*]}"

installed=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' |
	sed -n 's/^installed //p' | tr '\n' ' ')"
missing=()
for package in "${packages[@]}"; do
	[[ "$installed" == *" $package "* ]] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
	echo "install: all ${#packages[@]} packages are there"
	exit 0
fi
[ "$(id -u)" -eq 0 ] || die "not root: run as root, or install yourself: ${missing[*]}"

log=$(mktemp)
policy=/usr/sbin/policy-rc.d
policy_is_ours=
finish()
{
	rm -f "$log"
	[ -z "$policy_is_ours" ] || rm -f "$policy"
}
trap finish EXIT

# Open vSwitch is a peer here, not a service: its daemon is not started. A policy of
# the administrator's own stays in force.
if [ ! -e "$policy" ]; then
	policy_is_ours=yes
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

apt_get()
{
	DEBIAN_FRONTEND=noninteractive timeout 1200 apt-get -q -y -o Dpkg::Use-Pty=0 \
		-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" >"$log" 2>&1 && return
	tail -n 20 "$log" >&2
	die "'apt-get $*' failed: its last lines are above"
}

echo "install: ${#missing[@]} packages are missing: ${missing[*]}"
apt_get update
apt_get install --no-install-recommends "${missing[@]}"
echo "install: done"
