# Everything that people do with this repository. `make` alone lists it.

PYTHON ?= python3
# PyTorch serves for comparison only. Any build of this release will do.
TORCH ?= torch==2.13.0
# More words for pytest: make test ARGS="-k conv2d"
ARGS ?=

BIN := .venv/bin
STAMP := .venv/.installed
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check

# Two workers on two cores: one thread of matrix products each.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 VECLIB_MAXIMUM_THREADS=1 \
          $(BIN)/python -m pytest -q -n 2 --dist worksteal

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test check coverage verify bench docs links clean

help:  ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)-check  ## Create .venv with everything that development needs, PyTorch excepted

demo: $(STAMP)-data  ## Train on real handwritten digits and write an HTML report
	@$(BIN)/groundup run digits

test: $(STAMP)-test  ## Run the tests; no PyTorch needed
	@$(PYTEST) --ignore=tests/peers $(ARGS)

check: $(STAMP)-check $(STAMP)-peers docs  ## Formatting, lint, types, import floors, docs, agreement with PyTorch
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@$(PYTEST) tests/peers tests/docs $(ARGS)

coverage: $(STAMP)-test  ## Run the tests and list the lines and branches that none of them reaches
	@$(PYTEST) --ignore=tests/peers --cov --cov-report=term $(ARGS)

verify: $(STAMP)-peers  ## All tests, slow ones too, with many more random cases; takes long
	@HYPOTHESIS_PROFILE=thorough $(PYTEST) -m "" $(ARGS)

bench: $(STAMP)-peers  ## Measure speed beside PyTorch and JAX; takes over half an hour
	@for script in benchmarks/bench_*.py; do $(BIN)/python "$$script" || exit 1; done

docs: $(STAMP)-docs  ## Build the documentation into docs/_build/html; a warning or dead link is an error
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build/html

links: $(STAMP)-docs  ## Check the links that lead out of the documentation; needs the network
	$(BIN)/python -m sphinx -b linkcheck -q docs docs/_build/links

clean:  ## Remove what was built; .venv and runs stay
	rm -rf build dist docs/_build docs/api/generated docs/course .coverage coverage.xml
	rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -path ./.venv -prune -o -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "groundup needs Python 3.11 or newer: make PYTHON=python3.13"; exit 1; }
	@$(PYTHON) -m venv .venv

# One stamp for each extra of pyproject.toml; it is older than the file when the extra may have changed.
$(STAMP)-%: pyproject.toml | $(BIN)/python
	@echo "Installing groundup[$*] into .venv"
	@$(PIP) --editable '.[$*]'
	@touch $@

$(STAMP)-peers: pyproject.toml | $(BIN)/python
	@echo "Installing groundup[peers] and $(TORCH) into .venv"
	@$(PIP) '$(TORCH)' --editable '.[peers]'
	@touch $@
