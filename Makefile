# SPDX-License-Identifier: BSD-3-Clause
# One verb each, in front of meson. On a fresh Debian 12, as root: make demo, make test.

MESON_BUILD = build
JOBS ?= $(shell nproc)

.PHONY: help install build test test-slow lint format sanitize fuzz bench demo clean

help:
	@echo 'make install    the Debian packages that are missing (as root)'
	@echo 'make build      build/app/weir/weir and everything else'
	@echo 'make demo       a Linux guest talks to the host through weir: under 3 minutes'
	@echo 'make test       everything: builds, lint, unit, sanitized, integration tests'
	@echo 'make test-slow  the tests that take too long for every day'
	@echo 'make lint       format, spelling, shell, floors, doors, sizes'
	@echo 'make format     put all C files in the format'
	@echo 'make sanitize   the unit tests under the sanitizers'
	@echo 'make fuzz       each fuzz target for a minute'
	@echo 'make bench      weir beside testpmd and Open vSwitch; wants 4 GB and a quiet machine'
	@echo 'make clean      remove all build directories'

install:
	scripts/install.sh

build: install
	test -f $(MESON_BUILD)/build.ninja || meson setup $(MESON_BUILD)
	ninja -j$(JOBS) -C $(MESON_BUILD)

test: install
	scripts/test.sh all

test-slow: install
	scripts/test.sh slow

lint: install
	tests/lint/lint.py

format: install
	find app lib drivers examples tests -name '*.[ch]' | xargs clang-format -i

sanitize: install
	scripts/test.sh sanitize

fuzz: install
	scripts/test.sh fuzz

bench: build
	tests/perf/compare.py --docs

demo: build
	scripts/demo.py

clean:
	rm -rf build build-*
