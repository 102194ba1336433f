#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# scripts/test.sh all|slow|without-uring|sanitize|corpus|fuzz: build and run, go on after a failure, and say in
# the last line `N passed, N failed, N skipped`. A build that fails counts as one failure.
# Exit code 0 only with nothing failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

jobs=${JOBS:-$(nproc)}
logs=()
broken=()
under=()
targets=() # all
declare -A begun

# A sanitizer's finding must fail the test; DPDK's own, which we cannot mend, are listed.
supp=$PWD/tests/sanitize
export ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:exitcode=99"
export UBSAN_OPTIONS="print_stacktrace=1"
export LSAN_OPTIONS="suppressions=$supp/lsan.supp:print_suppressions=0"
export TSAN_OPTIONS="suppressions=$supp/tsan.supp:exitcode=99:second_deadlock_stack=1"

say()
{
	printf '\n== %s (%d s)\n' "$*" "$SECONDS"
}

# build DIR [meson options]: configure once, build always.
build()
{
	local dir=$1 log=$1/build.log
	shift
	say "build $dir $*"
	mkdir -p "$dir"
	if [ ! -f "$dir/build.ninja" ]; then
		timeout --foreground -k 10 120 meson setup "$dir" "$@" >"$log" 2>&1
	fi && timeout --foreground -k 10 600 ninja -j"$jobs" -C "$dir" "${targets[@]}" >>"$log" 2>&1 && return
	tail -n 40 "$log"
	broken+=("$dir")
	return 1
}

# run DIR NAME LIMIT [meson test options]: a suite, its log kept under NAME; meson and all
# that it starts below a program that `under` names. (Its --wrapper changes the log's name.)
run()
{
	local dir=$1 name=$2 limit=$3 log=$1/meson-logs/$2.json under=("${under[@]}")
	shift 3
	# A sanitizer maps its shadow at fixed addresses: more random bits than it knows of
	# must be turned off for it.
	[ "$dir" = build ] || [ "$(cat /proc/sys/vm/mmap_rnd_bits)" -le 28 ] || under+=(setarch -R)
	say "test $dir $name"
	rm -f "$log"
	timeout --foreground -k 30 "$limit" "${under[@]}" meson test -C "$dir" --no-rebuild --logbase "$name" \
		--print-errorlogs "$@" | grep -vE '^(ninja:|Full log|[A-Z][A-Za-z ]*:  *[0-9]+ *$|$)'
	# Exit codes are those of the tests; the log has them one by one.
	[ -s "$log" ] || broken+=("$dir $name")
	logs+=("$log")
}

build_address()
{
	# The second compiler as well: its warnings do not depend on a sanitizer. It links a
	# sanitizer's run time into programs only, so a plug-in has names that are undefined.
	CC=clang build build-address -Dsanitize=address -Doptimization=1 -Db_lundef=false
}

build_thread()
{
	build build-thread -Dsanitize=thread -Doptimization=1
}

# beside DIR COMMAND: begin to build with the processor time that tests leave.
beside()
{
	(
		chrt -i -p 0 "$BASHPID"
		"$2"
	) &
	begun[$1]=$!
}

# built DIR: wait for what was begun.
built()
{
	wait "${begun[$1]}" && return
	broken+=("$1")
	return 1
}

# What waits most runs more at a time than there are cores, and a build beside it.
sanitize()
{
	local address=yes
	built build-address || address=no
	beside build-thread build_thread
	[ $address = no ] || run build-address unit 300 --suite unit \
		--num-processes $((jobs + 2))
	built build-thread && run build-thread unit 300 --suite unit \
		--num-processes $((jobs + 2))
}

# As in a container that forbids io_uring: threads and children inherit the filter.
without_uring()
{
	local under=("$PWD/build/tests/unit/without_uring")

	run build without-uring 2400 --suite unit --suite integration --num-processes $((jobs + 1))
}

# The fuzz targets; of them a suite: `corpus` is seconds, `fuzz` minutes.
fuzz()
{
	local targets=(fuzzers)

	CC=clang build build-fuzz -Dfuzz=true && run build-fuzz "$1" "$2" --suite "$1"
}

case ${1:-all} in
all)
	plain=yes
	build build || plain=no
	[ $plain = no ] || run build lint 120 --suite lint
	beside build-address build_address
	[ $plain = no ] || run build unit 300 --suite unit --suite model --num-processes $((jobs + 2))
	sanitize
	fuzz corpus 120
	[ $plain = no ] || run build integration 1200 --suite integration --num-processes $((jobs + 1))
	;;
slow)
	if build build; then
		run build slow 5400 --suite slow
		without_uring
	fi
	build_address && run build-address slow 1800 pool_stress_slow
	build_thread && run build-thread slow 1800 pool_stress_slow
	;;
without-uring)
	build build && without_uring
	;;
sanitize)
	beside build-address build_address
	sanitize
	;;
corpus)
	fuzz corpus 120
	;;
fuzz)
	fuzz fuzz 3600
	;;
*)
	echo "test: '$1': one of all, slow, without-uring, sanitize, corpus, fuzz is needed" >&2
	exit 2
	;;
esac

say "result"
mkdir -p build
scripts/count.py --result build/result "${logs[@]}" "${broken[@]/#/broken:}"
