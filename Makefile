# Two commands do all the set-up on a machine with Python 3.11 and make:
#   make demo    the main job, on an emulated AWS
#   make test    everything that can be tested on this machine
# As root on a system with apt they install packages first; MNGEN_NO_PACKAGES=1 leaves that out.
# `make help` lists the rest.

PYTHON ?= python3
# Tests run in parallel. The end-to-end ones mostly wait, so more of them than cores pays; of the
# unit tests, enough wait for one more, but not beside the others, which keep two cores busy.
ifeq ($(origin JOBS),undefined)
JOBS := 3
test: export JOBS := 2
endif
E2E_JOBS ?= 10
# What the demo writes, to be looked at afterwards.
DEMO := .cache/demo
# Further arguments for pytest, such as `make test PYTEST='-k network -x'`.
PYTEST ?=
# `make test COVERAGE=1` measures as well which lines ran, `COVERAGE=unit` those of `make unit`
# alone; `make coverage` then tells.
COVERAGE ?=
# What `make coverage` must find at least, in percent of the lines.
LEAST ?=
# What runs beside `make unit`, and is measured with it.
ALSO :=
# Further arguments for `make lock`.
UPGRADE ?=

# Needs no virtual environment.
PARTS = PYTHONPATH=generator $(PYTHON) -m mngen.parts
VENV := .venv
BIN := $(VENV)/bin
PIP := -m pip --disable-pip-version-check --quiet
MEASURED := $(BIN)/coverage run -m pytest
MEASURED_DATA := .cache/coverage
WITH_PROVIDER := $(BIN)/python scripts/provider_mirror.py --run
UV_COMPILE := .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-config
export UV_CUSTOM_COMPILE_COMMAND := make lock
# Images of Python often set it. What pytest makes of a test file is made once and kept all the same:
# each worker of each run would spend more on that than on anything else before its first test.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test parts-demo parts-tests check e2e coverage lint types unit golden docs bench lock format clean venv scanner python

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: parts-demo venv ## Run the whole workflow against an emulated AWS, with real Terraform
	@rm -rf $(DEMO)
	@$(WITH_PROVIDER) $(BIN)/mngen demo --keep $(DEMO)

# In parallel: the end-to-end tests wait a good part of their time. What both need is made before.
test: parts-tests venv scanner ## Run `check` and the end-to-end tests; list what was skipped and why
	$(if $(COVERAGE),@rm -rf $(MEASURED_DATA))
	@$(PYTHON) scripts/in_parallel.py $(MAKE) --no-print-directory check ALSO=e2e \
	  -- $(MAKE) --no-print-directory e2e

# mypy keeps one core busy and the tests all, for a longer time: together they take as long as the
# tests alone, or little more.
check: lint ## Lint, types, unit and golden tests, in under a minute
	@$(MAKE) --no-print-directory --jobs=2 types unit

lint: venv
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: venv
	$(BIN)/mypy

unit: venv
	$(if $(COVERAGE),$(if $(ALSO),,@rm -rf $(MEASURED_DATA)))
	$(if $(COVERAGE),$(MEASURED),$(BIN)/pytest) -m "not e2e" -n $(JOBS) $(PYTEST)

# With a cache of what failed that is not the other tests': the last to end would write over it.
e2e: venv scanner
	$(WITH_PROVIDER) $(if $(filter-out unit,$(COVERAGE)),$(MEASURED),$(BIN)/pytest) -m e2e \
	  -o cache_dir=.cache/pytest-e2e -n $(E2E_JOBS) --dist loadgroup --no-loadscope-reorder \
	  --durations=10 --durations-min=1 $(PYTEST)

coverage: venv ## Report which lines `make test COVERAGE=1` or `COVERAGE=unit` ran
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --sort=miss $(if $(LEAST),--fail-under=$(LEAST))

format: venv ## Format the code and fix what ruff can fix
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

golden: venv ## Regenerate the golden trees; review the change with git diff
	$(BIN)/pytest -m "not e2e" -k golden --update-golden $(PYTEST)
	@git --no-pager diff --stat -- tests/golden

docs: venv ## Write the reference pages, and build the documentation into site/
	$(BIN)/python scripts/reference.py
	$(BIN)/zensical build --clean --strict

bench: venv .venv-bench/.stamp ## Run the benchmarks
	$(BIN)/python -m benchmarks

lock: .venv-lock/.stamp ## Bring the locks up to pyproject.toml; all newest: UPGRADE=--upgrade
	$(UV_COMPILE) $(UPGRADE) --all-extras --group dev -o requirements-dev.lock pyproject.toml
	$(UV_COMPILE) $(UPGRADE) --group bench -o requirements-bench.lock
	$(UV_COMPILE) $(UPGRADE) --group scan -o requirements-scan.lock

clean: ## Remove what these commands made: virtual environments and caches
	rm -rf .venv .venv-bench .venv-lock .venv-scan .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf build dist site
	find generator container tests scripts benchmarks -name __pycache__ -prune -exec rm -rf {} +

venv: $(VENV)/.stamp

scanner: .venv-scan/.stamp

# The package itself is installed with the build backend from the lock: nothing unhashed comes in.
$(VENV)/.stamp: $(VENV)/.stamp-lock pyproject.toml
	$(BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.stamp-lock: requirements-dev.lock | python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@

# The security scanner pins versions that conflict with ours, and what the benchmarks compare with
# is large: each lives by itself.
.venv-bench/.stamp .venv-scan/.stamp: .venv-%/.stamp: requirements-%.lock | python
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP) install --require-hashes --requirement $<
	@touch $@

.venv-lock/.stamp: | python
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python $(PIP) install uv
	@touch $@

# Also where one of them is missing, the rest goes on; what is left out has been said.
parts-demo parts-tests: parts-%: | python
	@$(PARTS) $* || true

python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "mngen needs Python 3.11 or newer, and there is no $(PYTHON) on PATH." \
	    "Name one: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "mngen needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
	    "Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || $(PARTS) setup
