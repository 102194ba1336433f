#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# scripts/test.sh all|slow|sanitize|fuzz: build and run, go on after a failure, and say in
# the last line `N passed, N failed, N skipped`. A build that fails counts as one failure.
# Exit code 0 only with nothing failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

jobs=${JOBS:-$(nproc)}
logs=()
broken=()

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
	fi && timeout --foreground -k 10 600 ninja -j"$jobs" -C "$dir" >>"$log" 2>&1 && return
	tail -n 40 "$log"
	broken+=("$dir")
	return 1
}

# run DIR NAME LIMIT [meson test options]: a suite, its log kept under NAME.
run()
{
	local dir=$1 name=$2 limit=$3 log=$1/meson-logs/$2.json
	shift 3
	say "test $dir $name"
	rm -f "$log"
	timeout --foreground -k 30 "$limit" meson test -C "$dir" --no-rebuild --logbase "$name" \
		--print-errorlogs "$@" | grep -vE '^(ninja:|Full log|[A-Z][A-Za-z ]*:  *[0-9]+ *$|$)'
	# Exit codes are those of the tests; the log has them one by one.
	[ -s "$log" ] || broken+=("$dir $name")
	logs+=("$log")
}

# A sanitizer maps its shadow at fixed addresses: more random bits than it knows of
# (vm.mmap_rnd_bits above 28) must be turned off for it.
wrap=()
if [ "$(cat /proc/sys/vm/mmap_rnd_bits)" -gt 28 ]; then
	wrap=(--wrapper "setarch -R")
fi

sanitize()
{
	build build-address -Dsanitize=address -Doptimization=1 &&
		run build-address unit 300 --suite unit "${wrap[@]}"
	build build-thread -Dsanitize=thread -Doptimization=1 &&
		run build-thread unit 300 --suite unit "${wrap[@]}"
}

case ${1:-all} in
all)
	if build build; then
		run build lint 120 --suite lint
		# One more than there are cores: the longest of them sleep.
		run build unit 300 --suite unit --suite model --num-processes $((jobs + 1))
	fi
	CC=clang build build-clang
	sanitize
	[ ! -f build/build.ninja ] || run build integration 1200 --suite integration
	;;
slow)
	build build && run build slow 5400 --suite slow
	build build-address -Dsanitize=address -Doptimization=1 && run build-address slow 1800 "${wrap[@]}" pool_stress_slow
	build build-thread -Dsanitize=thread -Doptimization=1 && run build-thread slow 1800 "${wrap[@]}" pool_stress_slow
	;;
sanitize)
	sanitize
	;;
fuzz)
	CC=clang build build-fuzz -Dfuzz=true && run build-fuzz fuzz 3600 --suite fuzz
	;;
*)
	echo "test: '$1': one of all, slow, sanitize, fuzz is needed" >&2
	exit 2
	;;
esac

say "result"
mkdir -p build
scripts/count.py --result build/result "${logs[@]}" "${broken[@]/#/broken:}"
