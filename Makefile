# The front door. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help up down test sim check bench engines build

# What `make up` makes; empty means the program's own default. Make hands them to the shell as they were given, so that
# each reaches the program as one word, whatever is in it.
SHARDS ?=
REPLICAS ?=
ENGINE ?=
PORT ?=
NAME ?=
# KEEP=1 make down keeps the data.
KEEP ?=

TARGET := $(or $(CARGO_TARGET_DIR),target)
TRIBUNE := $(TARGET)/release/tribune
SHAPE := $${SHARDS:+--shards "$$SHARDS"} $${REPLICAS:+--replicas "$$REPLICAS"} $${ENGINE:+--engine "$$ENGINE"} $${PORT:+--port "$$PORT"}
CLUSTER := $${NAME:+--name "$$NAME"}

help: ## List the commands
	@echo "make COMMAND [SHARDS=3] [REPLICAS=1] [ENGINE=redis|valkey|NAME|PATH] [PORT=7000] [NAME=main]"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: build ## Make a cluster of real servers on this machine, installing what is missing
	@testbed/engines/ensure "$(TRIBUNE)" "$$ENGINE"
	@"$(TRIBUNE)" local up $(CLUSTER) $(SHAPE)

# Built only where there is no program: a tree that does not compile must not keep its servers running.
down: ## Stop that cluster and remove it; KEEP=1 keeps its data
	@[[ -x "$(TRIBUNE)" ]] || $(MAKE) --no-print-directory build
	@"$(TRIBUNE)" local down $(CLUSTER) $(if $(KEEP),,--remove --yes)

build:
	@testbed/install-compiler
	@cargo build --quiet --release --locked --package cli --target-dir "$(TARGET)" --jobs 2

test: ## Run everything that this machine can run
	@testbed/install-compiler
	@testbed/engines/fetch --allow-missing --unverified
	testbed/run-tests
	testbed/try-tour

# SEED=n tries one course of each test with its trace, and SCHEDULE what of that; TEST=words only those tests.
SEEDS ?= 1000
TEST ?=
sim: ## Try the loop on simulated servers in SEEDS=1000 courses of events each
	@[[ -n "$$SEED" ]] || export SEEDS="$(SEEDS)"; \
	cargo test --profile sim --locked --package simcluster --test keeping --jobs 2 -- $$TEST --nocapture --test-threads 1
	@[[ -n "$$SEED$$TEST" ]] || cargo run --quiet --profile sim --locked --package simcluster --example pass --jobs 2

check: ## Formatting, lints, dependencies: what needs no server
	@testbed/check

bench: build ## Run us and the reference tools side by side and print the ratios
	@testbed/engines/fetch --allow-missing --unverified redis-7.0 redis-8.6 valkey-9.1
	@cargo run --quiet --release --locked --package bench --jobs 2 -- --tribune "$(TRIBUNE)" $(BENCH)

engines: ## Fetch all server versions of the test matrix into the cache, without compiling
	@testbed/engines/fetch --unverified
	@testbed/engines/fetch --list
