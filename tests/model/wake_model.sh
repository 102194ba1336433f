#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Check the wake protocol with spin: it holds in every setting, and fails once any
# one of its pieces is left out (else the model would prove nothing).
#
# usage: wake_model.sh wake.pml

set -eu

model=$(realpath "$1")
for tool in spin cc; do
	command -v "$tool" >/dev/null || {
		echo "no $tool: the model is not checked" >&2
		exit 77
	}
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

# check EXPECTED_ERRORS DEFINE...
check() {
	expected=$1
	shift
	spin "$@" -a "$model" >spin.log || {
		cat spin.log
		exit 1
	}
	cc -O2 -w -DSAFETY -o pan pan.c
	./pan -n -m200000 >pan.log
	errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' pan.log)
	states=$(sed -n 's/ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
	if [ "$errors" != "$expected" ] || grep -q 'max search depth' pan.log; then
		echo "wrong: $*: errors: $errors, expected $expected"
		cat pan.log
		exit 1
	fi
	echo "errors: $errors, states: $states: $*"
}

for fenced in -DFENCED -UFENCED; do
	check 0 $fenced -DITEMS=4
	check 0 $fenced -DITEMS=3 -DTIMEOUTS=3
	check 0 $fenced -DPRODUCERS=2 -DITEMS=2 -DTIMEOUTS=2
	check 0 $fenced -DCONSUMERS=2 -DITEMS=2 -DTIMEOUTS=1
	check 0 $fenced -DPRODUCERS=2 -DCONSUMERS=2 -DITEMS=1
	check 0 $fenced -DCONSUMERS=2 -DITEMS=1 -DTIMEOUTS=1 -DCLOSE

	check 1 $fenced -DNO_ORDER
	check 1 $fenced -DNO_LOOK
	check 1 $fenced -DTIMEOUTS=1 -DCLEAR_FIRST
	check 1 $fenced -DTIMEOUTS=1 -DCLEAR_EMPTY
	check 1 $fenced -DCONSUMERS=2 -DITEMS=1 -DCLOSE -DNO_REWRITE
	check 1 $fenced -DCONSUMERS=2 -DITEMS=1 -DNO_RESTORE
done
