# The commands of the quickstart. `make` without a target lists them.

.DEFAULT_GOAL := help
SHELL := /bin/sh
CARGO ?= cargo
# `make PROFILE=release …` builds and uses the optimized binaries.
PROFILE ?= dev
BIN := $(or $(CARGO_TARGET_DIR),target)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
# Uses the Hatchet of the token in the environment or a .env file; without a token, the embedded engine.
RUN := --embedded=auto
# Number of runs of each task in the benchmark.
RUNS := 500

.PHONY: help build demo dev run-worker run-worker-sync run-external-trigger run-sync-trigger run-cpu-trigger \
        run-sync-process-pool-trigger run-task-status-benchmark doctor list-tasks test test-fast chaos test-browser pictures \
        conformance interop interop-install proto lint deny doc bench bench-build ci clean

help: ## list the commands
	@echo "The Hatchet quickstart in Rust"
	@echo
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F '\t' '{ printf "%-42s %s\n", $$1, $$2 }'

build: ## build worker and runner
	@$(CARGO) build --profile $(PROFILE) --bins

demo: build ## run the three tasks in turn on an embedded engine, then exit
	@set -e; dir=$$(mktemp -d); \
	$(BIN)/worker --embedded --embedded-dir $$dir --log-format human 2>$$dir/worker.log & worker=$$!; \
	trap 'kill $$worker 2>/dev/null; wait $$worker 2>/dev/null || true; rm -rf $$dir' EXIT; \
	until grep -q listening $$dir/worker.log; do \
		kill -0 $$worker 2>/dev/null || { cat $$dir/worker.log >&2; exit 1; }; sleep 0.05; \
	done; \
	for task in externally-triggered-task sync-sleep-task cpu-heavy-task; do \
		echo "== $$task"; $(BIN)/runner --embedded --embedded-dir $$dir --task-name $$task; \
	done

run-worker: build ## start a worker with all tasks
	@exec $(BIN)/worker $(RUN)

dev: ## start a worker, and rebuild and restart it when a source file changes; ARGS="…"
	@.ci/dev $(BIN)/worker "$(CARGO) build --profile $(PROFILE) --bins" $(RUN) $(ARGS)

run-worker-sync: build ## start a worker with the sleep and CPU tasks only
	@exec $(BIN)/worker $(RUN) --tasks sync-sleep-task,cpu-heavy-task

run-external-trigger: build ## trigger externally-triggered-task
	@$(BIN)/runner $(RUN) --task-name externally-triggered-task

run-sync-trigger: build ## trigger sync-sleep-task
	@$(BIN)/runner $(RUN) --task-name sync-sleep-task

run-cpu-trigger: build ## trigger cpu-heavy-task
	@$(BIN)/runner $(RUN) --task-name cpu-heavy-task

run-sync-process-pool-trigger: build ## trigger cpu-heavy-task by its alias, the Python quickstart's name
	@$(BIN)/runner $(RUN) --task-name cpu-heavy-with-process-pool

run-task-status-benchmark: build ## submit many runs of each task and measure them; RUNS=n, ARGS="…"
	@$(BIN)/runner bench $(RUN) --with-worker --runs $(RUNS) \
		--tasks externally-triggered-task,sync-sleep-task,cpu-heavy-task \
		--input-json 'externally-triggered-task={"name":"run {index}"}' \
		--input-json 'sync-sleep-task={"seconds":0.05}' --input-json 'cpu-heavy-task={"limit":20000}' $(ARGS)

doctor: build ## check settings, connection, engine and workers
	@$(BIN)/runner doctor $(RUN)

list-tasks: build ## print names, kinds and schemas of the tasks
	@$(BIN)/runner --list-tasks

test: ## run all tests offline, the conformance suite on an in-memory and a durable engine
	@$(CARGO) test --quiet
	@HATCHET_TEST_TARGET=durable $(CARGO) test --quiet --test it conformance
	@$(CARGO) build --quiet --features opentelemetry --example opentelemetry
	@$(CARGO) test --quiet --features opentelemetry --test opentelemetry

# Tests of the binaries that take less than 2 s each.
FAST_TESTS := process::settings process::runner::quickstart process::connection::tls process::connection::proxy \
        process::embedded::folder process::embedded::sidecar process::worker::health dashboard

test-fast: ## run the unit tests and the quick tests of the binaries, for the edit loop
	@PROPTEST_CASES=32 $(CARGO) test --quiet --lib
	@$(CARGO) test --quiet --test it -- $(FAST_TESTS)

chaos: ## run the fault tests in full and print a table; HATCHET_TEST_TARGET=real: on the Hatchet of the token
	@PROPTEST_CASES=$${PROPTEST_CASES:-5000} $(CARGO) test --quiet --lib
	@HATCHET_CHAOS=1 PROPTEST_CASES=$${PROPTEST_CASES:-5000} $(CARGO) test --quiet --test it chaos -- --nocapture --test-threads 1

test-browser: ## test the benchmark report and the dashboard in a headless browser, if one is installed
	@$(CARGO) test --quiet --test it -- browser:: dashboard:: --ignored --nocapture

pictures: ## take the pictures of the guide with a headless browser
	@HATCHET_TEST_PICTURES=$(CURDIR)/src/guide/pictures $(CARGO) test --quiet --test it dashboard::pictures::guide -- --ignored

conformance: ## run the conformance suite on the Hatchet of HATCHET_CLIENT_TOKEN
	@test -n "$$HATCHET_CLIENT_TOKEN" || { echo "set HATCHET_CLIENT_TOKEN (and HATCHET_CLIENT_TLS_STRATEGY) first" >&2; exit 2; }
	@HATCHET_TEST_TARGET=real $(CARGO) test --quiet --test it conformance

INTEROP := target/interop
PYTHON_SDK := hatchet-sdk==1.43.1
NODE_SDK := @hatchet-dev/typescript-sdk@1.33.2
GO_SDK := github.com/hatchet-dev/hatchet/sdks/go
GO_SDK_VERSION := v0.104.7

interop: interop-install ## run the official Python, TypeScript and Go SDKs on the embedded engine
	@cd $(INTEROP)/go && go build -o features $(CURDIR)/tests/it/interop/go/*.go
	@$(CARGO) test --quiet --test it interop -- --ignored --test-threads 2

# A separate target, so that CI can distinguish a missing package registry from a failing test.
interop-install:
	@command -v python3 >/dev/null || { echo "make interop needs python3 with venv" >&2; exit 2; }
	@command -v npm >/dev/null || { echo "make interop needs node and npm" >&2; exit 2; }
	@command -v go >/dev/null || { echo "make interop needs go 1.26 or later" >&2; exit 2; }
	@test -x $(INTEROP)/venv/bin/pip || python3 -m venv $(INTEROP)/venv
	@$(INTEROP)/venv/bin/pip install --quiet --disable-pip-version-check $(PYTHON_SDK)
	@mkdir -p $(INTEROP)/node && cd $(INTEROP)/node && npm install --silent --no-audit --no-fund $(NODE_SDK)
	@mkdir -p $(INTEROP)/go && cd $(INTEROP)/go && { test -f go.mod || go mod init interop 2>/dev/null; } && \
		{ messages=$$(go get $(GO_SDK)@$(GO_SDK_VERSION) 2>&1) || { echo "$$messages" >&2; exit 1; }; } && \
		go build $(GO_SDK)

lint: ## check formatting and lints, warnings denied
	@$(CARGO) fmt --check
	@$(CARGO) clippy --quiet --all-targets -- -D warnings
	@$(CARGO) clippy --quiet --features opentelemetry --lib --test opentelemetry --example opentelemetry -- -D warnings
	@$(CARGO) clippy --quiet --no-default-features --lib --bins -- -D warnings
	@$(CARGO) clippy --quiet --no-default-features --features engine --lib --bins -- -D warnings

deny: ## check licenses, bans and sources of the dependencies
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --log-level error check --hide-inclusion-graph licenses bans sources; \
	else \
		echo "skipped: cargo-deny is not installed (cargo install --locked cargo-deny)"; \
	fi

doc: ## build the documentation, warnings denied
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --no-deps
	@cp -r src/guide/pictures $(or $(CARGO_TARGET_DIR),target)/doc/hatchet_quickstart/guide/dashboard/

bench: ## measure the figures of the guide
	@$(CARGO) bench --quiet --bench figures

bench-build: ## measure builds and an edited task's restart, in a clone
	@.ci/bench-build

ci: ## run all checks of CI
	@.ci/run

clean: ## remove the build output
	@$(CARGO) clean
