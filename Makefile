# What a person types; CI types the same.

CARGO ?= cargo
export CARGO_INCREMENTAL ?= 1

.PHONY: help setup build demo test test-engines test-packages test-static test-long deb static mutants bench soak fuzz record check deny

help: ## Show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: ## Install what building and testing need (Debian packages); does nothing twice
	@scripts/setup

build: setup ## Build every binary
	@$(CARGO) build --workspace --bins

demo: build ## Three hosts of this machine become one network; watch what kills and deletions do
	@examples/demo

test: build ## Run all tests, on a real etcd and real kernels
	@scripts/test

test-engines: build ## Run the long tests with the container engines of a newer Debian
	@scripts/test-engines

deb: setup ## Build the Debian packages weft, weft-agent and weft-controller, in target/deb
	@scripts/deb

test-packages: build ## Install, upgrade, remove and purge them on a Debian that boots
	@scripts/test-packages

static: setup ## Build programs that need nothing of a system but its kernel
	@scripts/static

test-static: build ## Run tests of every road with those
	@scripts/test-static

test-long: build ## Run all the long tests, and tell the time of each: packages, static programs, engines
	@scripts/test-long

mutants: setup ## Break the code line by line: each time a test must notice (ONLY=name for one)
	@scripts/mutations $(ONLY)

bench: setup ## Measure; the table of docs/benchmarks.md
	@$(CARGO) build --release --workspace --bins
	@target/release/weft-bench

soak: setup ## Leases, then hosts under traffic, with faults for a minute each (FOR=10m for longer)
	@$(CARGO) build --release --workspace --bins
	@target/release/weft-soak --for $(or $(FOR),60s)

fuzz: setup ## Throw garbage at records, messages and config, a minute in all
	@scripts/fuzz

record: build ## Record what this release says and keeps, for later ones to understand (VERSION=0.1.0)
	@target/debug/weft-record tests/recorded/$(or $(VERSION),$(error give VERSION))

check: setup ## Formatting, lints, documentation, dependencies
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet
	@scripts/deny
