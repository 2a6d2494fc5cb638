# Two commands matter: `make run` and `make test`. Both install what they need first.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
LOCK   := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
          --no-annotate --custom-compile-command "make lock" pyproject.toml --group build

.DEFAULT_GOAL := help
.PHONY: help install install-test run test check unit soak lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(VENV)/installed ## set up .venv from the hash-locked requirements

install-test: $(VENV)/installed-test ## the same, with what the tests need

run: install ## serve on http://127.0.0.1:8000 (demo mode when no credential is configured)
	@$(BIN)/moongate serve $(ARGS)

test: check unit ## everything that must hold: style, types, imports, tests

check: install-test ## style, types and the direction of imports
	$(BIN)/ruff format --check src tests
	$(BIN)/ruff check src tests
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: install-test ## the tests alone; ARGS="-k words" picks some
	$(BIN)/python -m pytest $(ARGS)

soak: install-test ## twenty minutes of requests over failing accounts; ARGS="--minutes 1" for less
	$(BIN)/python tests/soak/soak.py $(ARGS)

lock: ## resolve the requirements anew (needs uv)
	$(LOCK) --output-file requirements/runtime.txt
	$(LOCK) --group test --output-file requirements/test.txt

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Moongate needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python requirements/runtime.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed requirements/test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/test.txt
	@touch $@
