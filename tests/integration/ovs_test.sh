#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The mempool driver in Open vSwitch, as docs/ovs.md says: it is loaded as a plug-in, two
# virtio-user guests exchange frames, memory follows load, and ports come and go;
# dpdk-proc-info attaches to a process that has the driver. Exit code 77 with the reason where the host cannot.
#
#   ovs_test.sh            the claims
#   ovs_test.sh compare    throughput and memory beside ring_mp_mc, in turns; wants 1 GB of
#                          huge pages and a quiet machine
set -euo pipefail

build=$(realpath "${WEIR_BUILD:-$(dirname "$0")/../../build}")
plugin=$build/drivers/mempool/weir/librte_mempool_weir.so
vswitchd=/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk

skip()
{
	echo "skipped: $*"
	exit 77
}

fail()
{
	echo "FAILED: $*"
	tail -n 20 "$run"/*.log 2>/dev/null || true
	exit 1
}

[ "$(id -u)" = 0 ] || skip "root is needed"
for program in ovs-vsctl ovsdb-server dpdk-testpmd dpdk-proc-info python3 "$vswitchd"; do
	command -v "$program" >/dev/null || skip "$program is not installed"
done
# A private network, because Open vSwitch makes a tap for its bridge; private mounts,
# because the machine may have no hugetlbfs.
[ "${WEIR_OVS_NETNS:-}" ] || WEIR_OVS_NETNS=1 exec unshare -n -m "$0" "$@"

pages=$([ "${1:-}" = compare ] && echo 512 || echo 160)
free=$(awk '/HugePages_Free/ { print $2 }' /proc/meminfo)
nr=/proc/sys/vm/nr_hugepages
nr_before=$(cat "$nr")
if [ "$free" -lt "$pages" ]; then
	echo $((nr_before + pages - free)) >"$nr"
	free=$(awk '/HugePages_Free/ { print $2 }' /proc/meminfo)
	if [ "$free" -lt "$pages" ]; then
		echo "$nr_before" >"$nr"
		skip "$pages free huge pages of 2 MB are needed, only $free can be had"
	fi
fi

run=$(mktemp -d /run/weir-ovs.XXXXXX)
chmod 755 "$run"
# EAL takes no plug-in from below a directory that everyone may write to: not from /tmp.
cp "$plugin" "$run"
plugin=$run/${plugin##*/}
if ! grep -q ' hugetlbfs ' /proc/mounts; then
	mkdir "$run/huge"
	mount -t hugetlbfs weir "$run/huge"
fi
prefix=$(basename "$run")
export OVS_RUNDIR=$run OVS_LOGDIR=$run OVS_DBDIR=$run
started=()

# Of what this script started only, and by id.
stop_all()
{
	local pid
	for pid in "${started[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
	for pid in "${started[@]}"; do
		timeout 10 tail --pid="$pid" -f /dev/null || kill -9 "$pid" 2>/dev/null || true
	done
	started=()
}
clean_up()
{
	stop_all
	# In a mount of the machine's own they would hold their pages for ever.
	awk '$3 == "hugetlbfs" { print $2 }' /proc/mounts | while read -r dir; do
		rm -f "$dir/$prefix"*
	done
	umount "$run/huge" 2>/dev/null || true
	rm -rf "$run" /var/run/dpdk/"$prefix"*
	echo "$nr_before" >"$nr"
}
trap clean_up EXIT

until_true()
{
	local what=$1 end=$((SECONDS + 20))
	shift
	while [ "$SECONDS" -lt "$end" ]; do
		"$@" && return
		sleep 0.1
	done
	fail "$what"
}

vsctl()
{
	ovs-vsctl --db="unix:$run/db.sock" --timeout=20 "$@"
}

appctl()
{
	ovs-appctl -t "$run/ovs-vswitchd-dpdk.$ovs.ctl" "$@"
}

# start_ovs EAL-OPTIONS...
start_ovs()
{
	rm -f "$run"/conf.db "$run"/*.ctl "$run"/.conf.db*
	ovsdb-tool create "$run/conf.db" /usr/share/openvswitch/vswitch.ovsschema
	ovsdb-server "$run/conf.db" --remote="punix:$run/db.sock" --log-file="$run/db.log" \
		>/dev/null 2>&1 &
	started+=($!)
	until_true "ovsdb-server does not start" test -S "$run/db.sock"
	vsctl --no-wait init
	vsctl --no-wait set Open_vSwitch . other_config:dpdk-init=true \
		other_config:stats-update-interval=1000 \
		other_config:dpdk-lcore-mask=0x1 other_config:pmd-cpu-mask=0x2 \
		other_config:dpdk-extra="--no-pci --file-prefix=$prefix $*"
	"$vswitchd" "unix:$run/db.sock" --log-file="$run/vswitchd.log" >/dev/null 2>&1 &
	ovs=$!
	started+=("$ovs")
	vsctl add-br br0 -- set bridge br0 datapath_type=netdev ||
		fail "Open vSwitch does not start"
}

# add_port N [column=value...]
add_port()
{
	local n=$1
	shift
	vsctl add-port br0 "g$n" -- set Interface "g$n" type=dpdkvhostuserclient \
		options:vhost-server-path="$run/g$n.sock" "$@"
}

# start_guest N MODE [testpmd words]: it takes commands from a pipe.
start_guest()
{
	local n=$1 mode=$2
	shift 2
	rm -f "$run/g$n.in" "$run/g$n.sock"
	mkfifo "$run/g$n.in"
	stdbuf -oL dpdk-testpmd --lcores "0@0,1@0" --no-pci --file-prefix="$prefix-g$n" -m 64 \
		--single-file-segments --no-telemetry \
		--vdev="net_virtio_user0,path=$run/g$n.sock,server=1,mac=52:54:00:00:00:0$n" \
		-- -i --total-num-mbufs=4096 --forward-mode="$mode" "$@" \
		<"$run/g$n.in" >"$run/g$n.log" 2>&1 &
	started+=($!)
	eval "exec 1$n>'$run/g$n.in'" # 10, 11, 12: kept open, or it would leave
}

tell()
{
	echo "$2" >&"1$1"
}

link_is_up()
{
	[ "$(vsctl get Interface "g$1" link_state)" = up ]
}

counter()
{
	local n
	n=$(vsctl --if-exists get Interface "$1" "statistics:$2")
	echo "${n:-0}"
}

# Huge-page memory of Open vSwitch in MB.
huge_mb()
{
	awk '/HugetlbPages/ { print int($2 / 1024) }' "/proc/$ovs/status"
}

# telemetry COMMAND [KEY]: the reply, or one number of it.
telemetry()
{
	python3 - "/var/run/dpdk/$prefix/dpdk_telemetry.v2" "$@" <<-'PY'
		import json, socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.connect(sys.argv[1])
		s.recv(4096)
		s.send(sys.argv[2].encode())
		reply = list(json.loads(s.recv(65536)).values())[0]
		print(reply[sys.argv[3]] if len(sys.argv) > 3 else "\n".join(reply))
	PY
}

guests_are_up()
{
	start_guest 1 rxonly
	start_guest 0 txonly --eth-peer=0,52:54:00:00:00:01
	until_true "guest 1 is not connected" link_is_up 1
	until_true "guest 0 is not connected" link_is_up 0
	tell 1 start
}

# From guest 0 to guest 1 for so many seconds.
traffic()
{
	tell 0 start
	sleep "$1"
	tell 0 stop
}

# Open vSwitch shows its counters once a second, or later when it is busy. The first few
# frames go to every port, or to none, before addresses are learned.
all_are_accounted_for()
{
	taken=$(counter g0 rx_packets)
	given=$(counter g1 tx_packets)
	dropped=$(counter g1 tx_dropped)
	[ "$taken" = "$sent" ] && [ "$((given + dropped))" -ge "$((taken - 1000))" ]
}

frames_are_exchanged_and_accounted_for()
{
	traffic 3
	tell 0 "show port stats 0"
	sleep 1
	sent=$(awk '/TX-packets/ { n = $2 } END { print n }' "$run/g0.log")
	until_true "frames are missing" all_are_accounted_for
	echo "guest 0 sent $sent; Open vSwitch took $taken, gave $given to guest 1, dropped $dropped"
	[ "$given" -gt 0 ] || fail "not a frame came through"
}

has_got_frames()
{
	[ "$(counter "g$1" tx_packets)" -gt 0 ]
}

slabs_left_are_few()
{
	[ "$(telemetry "/weir/pool/stats,$1" slabs)" -le 8 ]
}

n_pools()
{
	[ "$(telemetry /weir/pool/list | wc -w)" = "$1" ]
}

# Not to Open vSwitch, which turns DPDK's multi-process support off, whatever the driver;
# to a testpmd that has nothing but the driver.
proc_info_attaches()
{
	local log=$run/proc-info.log
	mkfifo "$run/primary.in"
	stdbuf -oL dpdk-testpmd --lcores "0@0,1@0" --no-pci --file-prefix="$prefix-primary" -m 64 \
		--no-telemetry --vdev=net_null0 -d "$plugin" --vdev=mempool_weir,base=2048 \
		--mbuf-pool-ops-name=weir -- -i --total-num-mbufs=8192 --auto-start \
		<"$run/primary.in" >"$run/primary.log" 2>&1 &
	started+=($!)
	exec 19>"$run/primary.in"
	until_true "the primary does not start" grep -q 'forwards packets' "$run/primary.log"
	timeout 20 dpdk-proc-info --file-prefix="$prefix-primary" --no-pci -d "$plugin" -- \
		--show-mempool=mb_pool_0 >"$log" 2>&1 || true
	grep -iE 'name|ops|avail|in.use|size' "$log" || true
	grep -q mb_pool_0 "$log" || fail "dpdk-proc-info does not see the pool"
	grep -qw weir "$log" || fail "dpdk-proc-info does not know the pool's driver"
	echo "show port stats 0" >&19
	until_true "the primary does not go on" grep -q 'RX-packets: [1-9]' "$run/primary.log"
	stop_all
}

claims()
{
	local before

	start_ovs -d "$plugin" --vdev=mempool_weir,base=512,slab=256K,keep_ms=200 \
		--mbuf-pool-ops-name=weir
	add_port 0
	add_port 1
	guests_are_up
	before=$(huge_mb)
	echo "huge-page memory before the first frame: $before MB"
	[ "$before" -le 64 ] || fail "more than 64 MB"
	appctl netdev-dpdk/get-mempool-info >"$run/mempool.log"
	grep -E 'mempool <|ops_name|size=|_count=[1-9]' "$run/mempool.log" | grep -v cache_count
	grep -q 'ops_name: <weir>' "$run/mempool.log" || fail "its pools are not weir's"
	grep -q '  size=262144' "$run/mempool.log" || fail "its pool is smaller than it asked for"

	frames_are_exchanged_and_accounted_for
	local pool grown
	pool=$(telemetry /weir/pool/list)
	grown=$(telemetry "/weir/pool/stats,$pool" slabs_grown)
	echo "under load: $grown slabs grown, $(huge_mb) MB"
	[ "$grown" -gt 0 ] || fail "the pool did not grow"

	# Slabs of which a frame lies in a mempool cache stay, the others go.
	until_true "slabs did not come back" slabs_left_are_few "$pool"

	# Ports come and go; with guest 1 its address is forgotten, and frames go to all.
	vsctl del-port br0 g1
	add_port 2
	start_guest 2 rxonly
	until_true "guest 2 is not connected" link_is_up 2
	tell 2 start
	traffic 2
	until_true "no traffic to a new port: $(vsctl get Interface g2 statistics)" has_got_frames 2

	# A port with another MTU has a pool of its own, and pools of no port are freed.
	vsctl set Interface g2 mtu_request=9000
	until_true "no pool for the long MTU" n_pools 2
	vsctl del-port br0 g0
	# It looks for them when a port takes a pool, before the port gives up its last one.
	vsctl set Interface g2 mtu_request=1500
	vsctl set Interface g2 mtu_request=1400
	until_true "the pool of the long MTU is not freed" n_pools 1
	echo "after the load: $(huge_mb) MB"
	[ "$(huge_mb)" -le "$((before + 8))" ] || fail "the memory did not come back"
	stop_all

	proc_info_attaches
	echo "all claims hold"
}

# One run: cycles of the switching lcore a frame, frames a second at guest 1, MB.
compare_one()
{
	local before after mb
	start_ovs "$@"
	add_port 0
	add_port 1
	guests_are_up
	mb=$(huge_mb)
	traffic 1
	appctl dpif-netdev/pmd-stats-clear >/dev/null
	before=$(counter g1 tx_packets)
	traffic 5
	after=$(counter g1 tx_packets)
	cycles=$(appctl dpif-netdev/pmd-stats-show |
		awk '/avg processing cycles per packet/ { print int($6); exit }')
	printf '%10s cycles a frame %10s frames/s to guest 1 %6s MB before the first frame\n' \
		"$cycles" "$(((after - before) / 5))" "$mb"
	stop_all
}

if [ "${1:-}" = compare ]; then
	for _ in 1 2 3; do
		printf 'ring_mp_mc '
		compare_one
		printf 'weir       '
		compare_one -d "$plugin" --vdev=mempool_weir,base=256 --mbuf-pool-ops-name=weir
	done
else
	claims
fi
