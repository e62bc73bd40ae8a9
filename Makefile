# Everything a contributor runs. Needs Python 3.11 or newer with pip, make and git; builds its own environment
# in .venv, writes nothing outside this folder but temporary files, and needs no network after the first time.

.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
RUN := $(VENV)/bin/python -m

# The first of these that is new enough; `make PYTHON=/path/to/python test` chooses another.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)

# Caches stay in the folder, whatever HOME is.
export PIP_CACHE_DIR := $(CURDIR)/.cache/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export XDG_CACHE_HOME := $(CURDIR)/.cache
export XDG_CONFIG_HOME := $(CURDIR)/.cache/config
export XDG_DATA_HOME := $(CURDIR)/.cache/data
export XDG_STATE_HOME := $(CURDIR)/.cache/state

# An environment made elsewhere (the folder was moved or copied) or by a Python that is gone is made anew.
ifneq ($(shell $(VENV)/bin/python -c '' 2>/dev/null && cat $(VENV)/location 2>/dev/null),$(CURDIR))
.PHONY: $(VENV)/location
endif

.PHONY: help
help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(VENV)/walnut.stamp  ## Show what Walnut does, in a minute, in a temporary folder
	@$(VENV)/bin/walnut demo

.PHONY: test
test: $(VENV)/dev.stamp  ## Run all tests
	@$(RUN) pytest -n 2 $(ARGS)

.PHONY: check
check: $(VENV)/dev.stamp  ## Run the static checks: lint, format, types, layers, house rules
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy $(wildcard src tests bench)
	$(VENV)/bin/lint-imports --no-cache
	$(RUN) pytest -q tests/tidy

.PHONY: format
format: $(VENV)/dev.stamp  ## Put the code into the house format and mend what ruff can mend
	$(RUN) ruff check --fix-only --quiet .
	$(RUN) ruff format .

.PHONY: bench
bench: peers  ## Measure, side by side with peers
	@$(RUN) bench $(ARGS)

.PHONY: bench-recall
bench-recall: peers  ## Measure what recall finds, lever by lever and beside other stores
	@$(RUN) bench.recall $(ARGS)

.PHONY: peers
peers: $(VENV)/dev.stamp  ## Install the peers of the comparison into .cache/peers, those that can be had
	@$(RUN) bench.environment

.PHONY: soak
soak: $(VENV)/dev.stamp  ## Run crash tests and simulations in their long versions, and all seeded bugs
	@$(RUN) pytest tests/crash tests/simulation tests/mutants --soak --timeout=3600 $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/dev.stamp  ## Fuzz every decoder for some MINUTES (default 10)
	@$(RUN) tests.fuzz --minutes $(or $(MINUTES),10) $(ARGS)

.PHONY: simulate
simulate: $(VENV)/dev.stamp  ## Crash a simulated machine for MINUTES=30, from SEED=1 on
	@$(RUN) tests.simulation --long --minutes $(or $(MINUTES),30) --seed $(or $(SEED),1) $(ARGS)

.PHONY: crash
crash: $(VENV)/dev.stamp  ## Harm real processes, files and file systems, and count what is lost (ARGS="power --rounds 20")
	@$(RUN) tests.crash $(ARGS)

.PHONY: mutants
mutants: $(VENV)/dev.stamp  ## Seed every bug of the catalogue: each must be caught
	@$(RUN) tests.mutants $(ARGS)

.PHONY: evidence
evidence: $(VENV)/dev.stamp  ## Run everything docs/why/durability.md tells of, an hour or two, and write its tables
	@mkdir -p $(EVIDENCE)
	@$(RUN) tests.simulation --long --minutes 30 --json $(EVIDENCE)/simulation.json
	@for fault in storm power power-writeback power-xfs power-btrfs failing-disk rot full refusals; do \
		$(RUN) tests.crash $$fault --json $(EVIDENCE)/crash-$$fault.json || exit 1; done
	@$(RUN) tests.fuzz --minutes 10 --json $(EVIDENCE)/fuzz.json
	@$(RUN) tests.mutants --json $(EVIDENCE)/seeded-bugs.json
	@$(RUN) tests.evidence

EVIDENCE := .cache/evidence

.PHONY: coverage
coverage: $(VENV)/dev.stamp  ## Branch coverage of the log and the views; fails below 95 %
	@rm -rf .cache/coverage && mkdir -p .cache/coverage
	@$(RUN) coverage run -m pytest -q -n 2 --deselect $(LOADS) $(ARGS)
	@$(RUN) coverage combine --quiet
	@$(RUN) coverage json --quiet --include='src/walnut/log/*,src/walnut/views/*' -o .cache/coverage/report.json
	@$(RUN) tests.branches .cache/coverage/report.json

# What a bare import loads can't be seen while coverage is loaded into every process.
LOADS := tests/contract/test_opening.py::test_importing_and_opening_loads_nothing_slow

.PHONY: lock
lock:  ## Pin the dependencies anew (needs uv; UPGRADE=1 takes the newest versions)
	@uv pip compile $(LOCK) pyproject.toml requirements.in --output-file requirements.txt
	@uv pip compile $(LOCK) --extra mcp --extra scale --extra simulation pyproject.toml requirements.in requirements-dev.in --output-file requirements-dev.txt
	@uv pip compile $(LOCK) bench/peers/requirements.in --output-file bench/peers/requirements.txt

.PHONY: clean
clean:  ## Remove everything these targets made
	rm -rf $(VENV) .cache .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find src tests docs bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

# --- the environment --------------------------------------------------------------------------------
# One stamp for each thing that may change: the interpreter, what the package needs, the package itself, what
# its tests need. A stamp that is newer than its files costs nothing and asks no network.

PIP_INSTALL := $(VENV)/bin/pip install --quiet

# `--without-pip`: some systems leave ensurepip out, and a pip of its own would cost seconds. The machine's pip
# installs into the environment instead; where it is too old for that (before 22.3) or missing, ensurepip helps.
$(VENV)/location:
	@test -n "$(PYTHON)" || { echo "Walnut needs Python 3.11 or newer: none was found" >&2; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv --without-pip $(VENV)
	@for pip in "$(PYTHON) -m pip" pip3 pip; do \
		if $$pip --python $(VENV)/bin/python --version >/dev/null 2>&1; then \
			printf '#!/bin/sh\nexec %s --python "$$(dirname "$$0")/python" "$$@"\n' "$$pip" >$(VENV)/bin/pip; \
			chmod +x $(VENV)/bin/pip; break; \
		fi; \
	done
	@test -x $(VENV)/bin/pip || $(RUN) ensurepip >/dev/null || \
		{ echo "Walnut needs pip: $(PYTHON) has neither pip (22.3 or newer) nor ensurepip" >&2; exit 1; }
	@test -x $(VENV)/bin/pip || ln -s pip3 $(VENV)/bin/pip
	@printf '%s\n' "$(CURDIR)" >$@

$(VENV)/core.stamp: $(VENV)/location requirements.txt
	@echo "Installing what Walnut needs into $(VENV)"
	@$(PIP_INSTALL) --require-hashes -r requirements.txt
	@touch $@

$(VENV)/walnut.stamp: $(VENV)/core.stamp pyproject.toml
	@$(PIP_INSTALL) --no-index --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/walnut.stamp requirements-dev.txt
	@echo "Installing what the tests need into $(VENV)"
	@$(PIP_INSTALL) --require-hashes -r requirements-dev.txt
	@touch $@
