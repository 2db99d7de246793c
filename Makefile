# The quickstart's commands. `make` alone lists them.

.DEFAULT_GOAL := help
SHELL := /bin/sh
CARGO ?= cargo
# `make PROFILE=release …` builds and uses the optimised binaries.
PROFILE ?= dev
BIN := $(or $(CARGO_TARGET_DIR),target)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
# A token in the environment or a .env file means that Hatchet; without one, the embedded engine.
RUN := --embedded=auto
DEMO := $(BIN)/demo
# Of the benchmark, for each task.
RUNS := 500

.PHONY: help build demo run-worker run-worker-sync run-external-trigger run-sync-trigger run-cpu-trigger \
        run-sync-process-pool-trigger run-task-status-benchmark doctor list-tasks test chaos test-browser conformance \
        interop interop-install lint deny doc bench bench-build ci clean

help: ## this list
	@echo "The Hatchet quickstart in Rust"
	@echo
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F '\t' '{ printf "%-42s %s\n", $$1, $$2 }'

build: ## build worker and runner
	@$(CARGO) build --quiet --profile $(PROFILE) --bins

demo: build ## the three tasks, one after the other, on an embedded engine; ends by itself
	@set -e; rm -rf $(DEMO); mkdir -p $(DEMO); \
	$(BIN)/worker --embedded --embedded-dir $(DEMO) --log-format human 2>$(DEMO)/worker.log & worker=$$!; \
	trap 'kill $$worker 2>/dev/null; wait $$worker 2>/dev/null || true' EXIT; \
	until grep -q listening $(DEMO)/worker.log; do \
		kill -0 $$worker 2>/dev/null || { cat $(DEMO)/worker.log >&2; exit 1; }; sleep 0.05; \
	done; \
	for task in externally-triggered-task sync-sleep-task cpu-heavy-task; do \
		echo "== $$task"; $(BIN)/runner --embedded --embedded-dir $(DEMO) --task-name $$task; \
	done

run-worker: build ## a worker with all tasks
	@exec $(BIN)/worker $(RUN)

run-worker-sync: build ## a worker with the sleep and CPU tasks only
	@exec $(BIN)/worker $(RUN) --tasks sync-sleep-task,cpu-heavy-task

run-external-trigger: build ## trigger externally-triggered-task
	@$(BIN)/runner $(RUN) --task-name externally-triggered-task

run-sync-trigger: build ## trigger sync-sleep-task
	@$(BIN)/runner $(RUN) --task-name sync-sleep-task

run-cpu-trigger: build ## trigger cpu-heavy-task
	@$(BIN)/runner $(RUN) --task-name cpu-heavy-task

run-sync-process-pool-trigger: build ## the same under the seed quickstart's name
	@$(BIN)/runner $(RUN) --task-name cpu-heavy-with-process-pool

run-task-status-benchmark: build ## many runs of each task at once, measured; RUNS=n, ARGS="…"
	@$(BIN)/runner bench $(RUN) --with-worker --runs $(RUNS) \
		--tasks externally-triggered-task,sync-sleep-task,cpu-heavy-task \
		--input-json 'externally-triggered-task={"name":"run {index}"}' \
		--input-json 'sync-sleep-task={"seconds":0.05}' --input-json 'cpu-heavy-task={"limit":20000}' $(ARGS)

doctor: build ## check settings, connection, engine and workers
	@$(BIN)/runner doctor $(RUN)

list-tasks: build ## names, kinds and schemas of the tasks
	@$(BIN)/runner --list-tasks

test: ## all tests, offline; the conformance suite on an engine in memory and on one that keeps everything
	@$(CARGO) test --quiet
	@HATCHET_TEST_TARGET=durable $(CARGO) test --quiet --test it conformance

chaos: ## faults in full, with a table of what held; HATCHET_TEST_TARGET=real: those that a real engine allows
	@HATCHET_CHAOS=1 PROPTEST_CASES=$${PROPTEST_CASES:-5000} $(CARGO) test --quiet --lib
	@HATCHET_CHAOS=1 PROPTEST_CASES=$${PROPTEST_CASES:-5000} $(CARGO) test --quiet --test it chaos -- --nocapture --test-threads 1

test-browser: ## the benchmark's report and the engine's page in a headless browser; skipped where there is none
	@$(CARGO) test --quiet --test it browser:: -- --ignored --nocapture

conformance: ## the conformance suite on the Hatchet that HATCHET_CLIENT_TOKEN names
	@test -n "$$HATCHET_CLIENT_TOKEN" || { echo "set HATCHET_CLIENT_TOKEN (and HATCHET_CLIENT_TLS_STRATEGY) first" >&2; exit 2; }
	@HATCHET_TEST_TARGET=real $(CARGO) test --quiet --test it conformance

INTEROP := target/interop
PYTHON_SDK := hatchet-sdk==1.43.1
NODE_SDK := @hatchet-dev/typescript-sdk@1.33.2

interop: interop-install ## the official Python and TypeScript SDKs on the embedded engine; installs them into target/interop
	@HATCHET_INTEROP=1 $(CARGO) test --quiet --test it interop

# By itself for CI, which tells a missing package registry from a failure.
interop-install:
	@command -v python3 >/dev/null || { echo "make interop needs python3 with venv" >&2; exit 2; }
	@command -v npm >/dev/null || { echo "make interop needs node and npm" >&2; exit 2; }
	@test -x $(INTEROP)/venv/bin/pip || python3 -m venv $(INTEROP)/venv
	@$(INTEROP)/venv/bin/pip install --quiet --disable-pip-version-check $(PYTHON_SDK)
	@mkdir -p $(INTEROP)/node && cd $(INTEROP)/node && npm install --silent --no-audit --no-fund $(NODE_SDK)

lint: ## formatting and lints, warnings denied
	@$(CARGO) fmt --check
	@$(CARGO) clippy --quiet --all-targets -- -D warnings
	@$(CARGO) clippy --quiet --no-default-features --lib --bins -- -D warnings
	@$(CARGO) clippy --quiet --no-default-features --features engine --lib --bins -- -D warnings

deny: ## licences, banned crates and sources of the dependencies
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --log-level error check --hide-inclusion-graph licenses bans sources; \
	else \
		echo "skipped: cargo-deny is not installed (cargo install --locked cargo-deny)"; \
	fi

doc: ## rustdoc, warnings denied
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --no-deps

bench: ## the measured figures, as ratios against limits of the same run
	@$(CARGO) bench --quiet --bench figures

bench-build: ## time a cold release build in a folder of its own
	@rm -rf target/cold && /usr/bin/env sh -c 'begun=$$(date +%s); \
	CARGO_TARGET_DIR=target/cold $(CARGO) build --quiet --release --bins && \
	echo "cold release build: $$(( $$(date +%s) - begun )) s"'; rm -rf target/cold

ci: ## what CI runs
	@.ci/run

clean: ## remove what was built
	@$(CARGO) clean
