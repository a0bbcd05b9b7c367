# `make demo` and `make test` need Python 3.11 or newer, git and make; nothing else. Without npm az:// is
# left out of the tests; without a C compiler the planner stays plain Python.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
RUNTIME := $(VENV)/.runtime
STAMP := $(VENV)/.ready
# The object store that the tests run against has packages of its own, and so has a duckdb.
STORES := .venv-stores
STORES_STAMP := $(STORES)/.ready
AUDIT := .venv-audit

.PHONY: venv plain stores demo test quick chaos torture powercuts fuzz guards audit lint format docs reference dist bench requirements clean help
.DEFAULT_GOAL := help

help:
	@echo 'make demo          generate, split, serve, kill servers, download, verify'
	@echo 'make test          lint, types, layers and the whole test suite'
	@echo 'make quick         the tests of all that is pure, in half a minute'
	@echo 'make plain         drop the compiled planner, to work on its source; `make venv` compiles it anew'
	@echo 'make stores        tools of the tests: OpenStack Swift, Azurite (object stores), axe-core (the page), duckdb'
	@echo 'make chaos N=1000  random schedules of failures, from SEED=0 on (see docs/reliability.md)'
	@echo 'make fuzz          each parser with odd inputs, SECONDS=10 or INPUTS=N each (see docs/reliability.md)'
	@echo 'make torture       each system call fails in turn, in each way (see docs/reliability.md)'
	@echo 'make powercuts     losses of power at every moment, replayed (see docs/reliability.md)'
	@echo 'make guards        take out one guard at a time: its test has to fail (see docs/security.md)'
	@echo 'make audit         known vulnerabilities in what is pinned, if their database is reachable'
	@echo 'make lint          ruff, mypy --strict, import-linter, and the words: tools/prose'
	@echo 'make format        let ruff rewrite what it can'
	@echo 'make docs          the documentation as a site, in docs/_build/html; a broken link fails'
	@echo 'make reference     write docs/commands.md and the manual pages anew from the parser'
	@echo 'make dist          sdist, wheels and a bill of materials in dist/: the same bytes each time'
	@echo 'make bench         speed beside aria2c, axel, wget2, curl and cp (see docs/performance.md)'
	@echo 'make requirements  pin the requirement files anew (needs uv, which .venv has, and npm)'
	@echo 'make clean         remove .venv, .venv-stores and caches'

venv: $(STAMP)

# Bytecode, as pip makes it of what it installs, though not of what is editable: without it, and where
# PYTHONDONTWRITEBYTECODE is set, each start takes a tenth of a second more.
BYTECODE = $(BIN)/python -m compileall -q src

define ENVIRONMENT
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "regather needs Python 3.11 or newer; call make PYTHON=python3.x")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@
endef

$(INSTALLED): requirements/dev.txt pyproject.toml src/regather/_version.py
	$(ENVIRONMENT)

$(RUNTIME): requirements/runtime.txt
	@echo 'Installing the packages that the demo needs, into $(VENV).'
	$(ENVIRONMENT)

INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
REMOVE_COMPILED = find src -name '*.so' -delete
HEADERS = $$($(abspath $(BIN))/python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
CAN_COMPILE = command -v cc >/dev/null && test -f "$(HEADERS)"

# By the build hook in pyproject.toml, beside the source: Python takes what is compiled.
$(STAMP): $(INSTALLED) $(wildcard src/regather/planner/*.py)
	$(REMOVE_COMPILED)
	if $(CAN_COMPILE); then \
		HATCH_BUILD_HOOKS_ENABLE=1 $(INSTALL) || { \
			echo 'the planner could not be compiled: it stays plain Python'; \
			$(REMOVE_COMPILED); $(INSTALL); \
		}; \
	else \
		echo 'no C compiler, or no headers of Python, here: the planner stays plain Python'; \
		$(INSTALL); \
	fi
	$(BYTECODE)
	touch $@

plain:
	$(REMOVE_COMPILED)
	rm -f $(STAMP)

# Of a new clone from its source, with the packages of `regather` alone: those of the tests take minutes.
demo: $(if $(wildcard $(STAMP)),$(STAMP),$(RUNTIME))
	$(BYTECODE)
	PYTHONPATH=src $(BIN)/python -m regather demo

stores: $(STORES_STAMP)

# At once, as both mostly wait. No script of any package runs, and npm compares all hashes.
$(STORES_STAMP): requirements/stores.txt $(wildcard requirements/azurite/* requirements/axe/*)
	$(MAKE) --no-print-directory -j2 $(STORES)/swift $(STORES)/azurite $(STORES)/axe
	touch $@

.PHONY: $(STORES)/swift $(STORES)/azurite $(STORES)/axe

$(STORES)/swift:
	test -x $(STORES)/bin/python || $(PYTHON) -m venv $(STORES)
	$(STORES)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/stores.txt

$(STORES)/azurite $(STORES)/axe:
	if ! command -v npm >/dev/null && test -z "$$CI"; then \
		echo 'no npm here, so $(@F) is left out of the tests; with it call: make -B stores'; \
	else \
		mkdir -p $@ && cp -R requirements/$(@F)/. $@ && cd $@ && \
		npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel error; \
	fi

# The tests mostly wait for servers and processes, so that three at a time suit two cores.
JOBS ?= 3
# Whatever a test leaves behind is ended, and SIGINT works though whoever calls make ignores it. The
# bytecode of the tests is kept: to make it takes each process 5 s.
TESTS := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m tools.contained $(BIN)/python -m pytest

test: $(STAMP) $(STORES_STAMP) lint
	$(BYTECODE)
	$(TESTS) -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

# What decides and computes, without a socket or a process: `--pure` refuses both. Long runs aside.
QUICK := tests/planner tests/coding tests/folder tests/manifest tests/metalink tests/simulation \
	tests/bench/simulate tests/cli/conf/test_reader.py tests/files \
	$(addprefix tests/engine/test_,missing.py rate_limit.py row_buffers.py) \
	tests/publisher/test_upload_plan.py tests/reading/test_ahead.py \
	$(addprefix tests/server/test_,preconditions.py faults.py listing.py ranges.py usage.py) \
	tests/sources/test_addresses.py tests/store/test_skippable.py \
	$(addprefix tests/test_,patterns.py schemes.py units.py) \
	$(addprefix tests/transport/test_,cookies.py linear.py logins.py)

quick: $(STAMP)
	$(BYTECODE)
	$(TESTS) -q -n 2 --dist worksteal --pure -m "not impure and not long and not soak" $(QUICK) $(PYTEST_ARGS)

N ?= 1000
SEED ?= 0

chaos: $(STAMP)
	$(BIN)/python -m tests.chaos --count $(N) --first-seed $(SEED) $(CHAOS_ARGS)

# FUZZ="link netrc" chooses harnesses; FUZZ_ARGS="--lines" counts the lines that are reached.
fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz $(FUZZ) $(if $(INPUTS),--inputs $(INPUTS)) $(if $(SECONDS),--seconds $(SECONDS)) $(FUZZ_ARGS)

# TORTURE='split --most 100': of the commands with this word, 100 points each.
torture: $(STAMP)
	$(BIN)/python -m tests.torture $(TORTURE)

powercuts: $(STAMP)
	$(BIN)/python -m tests.torture --power-cuts $(TORTURE)

guards: $(STAMP)
	$(BIN)/python -m tools.guards $(GUARDS)

audit: $(AUDIT)/.ready
	$(AUDIT)/bin/python -m tools.audit requirements/runtime.txt requirements/dev.txt requirements/stores.txt

$(AUDIT)/.ready: requirements/audit.txt
	test -x $(AUDIT)/bin/python || $(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tools.prose

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) reference
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo 'open docs/_build/html/index.html'

reference: $(STAMP)
	$(BIN)/python docs/commands.py
	$(BIN)/python docs/man.py

DIST := dist
COMPILED := yes
# The same source gives the same bytes: neither the clock, nor the time zone, nor the caller's settings
# get into them. The wheels are built from the sdist, so it holds all that they need.
BUILD = (umask 022 && env -u CFLAGS -u CPPFLAGS -u LDFLAGS TZ=UTC PYTHONHASHSEED=0 SOURCE_DATE_EPOCH="$$epoch" \
	HATCH_BUILD_HOOKS_ENABLE=$(2) $(abspath $(BIN))/python -m hatchling build -d "$(abspath $(DIST))" -t $(1))

# The bill of materials (CycloneDX): what is pinned for a run. Its tool reads no version of hatch's.
MATERIALS = version=$$($(abspath $(BIN))/python -m hatchling version) && \
	sed "s/^dynamic = .*/version = \"$$version\"/" pyproject.toml > "$(1)" && \
	$(abspath $(BIN))/python -W ignore -m cyclonedx_py requirements --pyproject "$(1)" --output-reproducible \
		-o "$(abspath $(DIST))/regather-$$version.cdx.json" requirements/runtime.txt

dist: $(INSTALLED)
	rm -rf "$(DIST)"
	epoch=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || echo 1580601600)} && \
	$(call BUILD,sdist,) && \
	work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && \
	tar -xzf "$(DIST)"/*.tar.gz -C "$$work" --strip-components=1 && cd "$$work" && \
	$(call BUILD,wheel,) && \
	if test "$(COMPILED)" != yes; then :; elif $(CAN_COMPILE); then \
		$(call BUILD,wheel,1); \
	else \
		echo 'no C compiler, or no headers of Python, here: no compiled wheel'; \
	fi && \
	$(call MATERIALS,$$work/materials.toml)

bench: $(STAMP)
	$(BIN)/python -m bench $(BENCH_ARGS)

COMPILE := $(firstword $(wildcard $(BIN)/uv) uv) pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate --quiet

requirements:
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) pyproject.toml requirements/dev.in -o requirements/dev.txt
	$(COMPILE) requirements/stores.in -o requirements/stores.txt
	$(COMPILE) -c requirements/dev.txt requirements/audit.in -o requirements/audit.txt
	for folder in azurite axe; do \
		(cd requirements/$$folder && npm install --package-lock-only --omit-lockfile-registry-resolved \
			--ignore-scripts --no-audit --no-fund) || exit 1; \
	done

clean:
	$(REMOVE_COMPILED)
	rm -rf $(VENV) $(STORES) $(AUDIT) $(DIST) docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis
