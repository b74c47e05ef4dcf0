# The front door. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help up down test check bench engines build

# What `make up` makes; empty means the program's own default.
SHARDS ?=
REPLICAS ?=
ENGINE ?=
PORT ?=
NAME ?=
# KEEP=1 make down keeps the data.
KEEP ?=

TARGET := $(or $(CARGO_TARGET_DIR),target)
TRIBUNE := $(TARGET)/release/tribune
SHAPE := $(if $(SHARDS),--shards $(SHARDS)) $(if $(REPLICAS),--replicas $(REPLICAS)) $(if $(ENGINE),--engine $(ENGINE)) $(if $(PORT),--port $(PORT))
CLUSTER := $(if $(NAME),--name $(NAME))

help: ## List the commands
	@echo "make COMMAND [SHARDS=3] [REPLICAS=1] [ENGINE=redis|valkey|NAME|PATH] [PORT=7000] [NAME=main]"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: build ## Make a cluster of real servers on this machine, installing what is missing
	@testbed/engines/ensure "$(ENGINE)"
	@$(TRIBUNE) local up $(CLUSTER) $(SHAPE)

down: build ## Stop that cluster and remove it; KEEP=1 keeps its data
	@$(TRIBUNE) local down $(CLUSTER) $(if $(KEEP),,--remove)

build:
	@testbed/install-compiler
	@cargo build --quiet --release --locked --package cli --jobs 2

test: ## Run everything that this machine can run
	@testbed/install-compiler
	@testbed/engines/fetch --allow-missing
	cargo test --workspace --locked --jobs 2
	testbed/try-tour

check: ## Formatting, lints, dependencies: what needs no server
	@testbed/check

bench: build ## Run us and the reference tools side by side and print the ratios
	@testbed/engines/fetch redis-7.0
	@cargo run --quiet --release --locked --package bench --jobs 2 -- --tribune $(TRIBUNE) $(BENCH)

engines: ## Fetch all server versions of the test matrix into the cache, without compiling
	@testbed/engines/fetch
	@testbed/engines/fetch --list
