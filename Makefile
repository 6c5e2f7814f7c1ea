# Two commands do everything on a fresh machine:
#   make run PHOTOS=~/Pictures    a dry run: lists the duplicates, changes nothing
#   make test                     runs every test
# Both need nothing but Python 3.11 or newer and make. 'make help' lists all targets.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV   ?= .venv
BIN    := $(VENV)/bin
PHOTOS ?=
ARGS   ?=
# Tests use two processes at least: many of them wait for programs they started.
JOBS   ?= $(shell $(PYTHON) -c 'import os; print(max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2))')

.DEFAULT_GOAL := help
.PHONY: help run test page page-check image-test soak check site format tables bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo 'Variables: PHOTOS=FOLDER for run; ARGS="..." is passed on to the program or to pytest; JOBS, PYTHON, VENV.'

$(VENV)/run.stamp: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; set PYTHON=/path/to/python3"; exit 2; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; set PYTHON=/path/to/python3"; exit 2; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,all]'
	@touch $@ $(VENV)/run.stamp

run: $(VENV)/run.stamp  ## a dry run over PHOTOS: list the duplicates, change nothing
	@test -n "$(PHOTOS)" || { echo "No folder given: make run PHOTOS=~/Pictures"; exit 2; }
	@$(BIN)/py-image-dedup deduplicate --dry-run $(ARGS) -- "$(patsubst ~%,$(HOME)%,$(PHOTOS))"

test: $(VENV)/dev.stamp  ## run every test
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

frontend/node_modules/.stamp: frontend/package.json frontend/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed to build the page: install Node.js 20 or newer"; exit 2; }
	cd frontend && npm ci --no-audit --no-fund --silent
	@touch $@

page: frontend/node_modules/.stamp  ## build py_image_dedup/report/page.html from frontend/; needs Node.js
	cd frontend && npm run --silent check && npm run --silent build

page-check: frontend/node_modules/.stamp  ## check types and tests of frontend/, and that the built page is committed
	cd frontend && npm run --silent check && npm run --silent test && node build.mjs --check

image-test: $(VENV)/dev.stamp  ## build the container image and run it; needs root, buildah and debootstrap
	$(BIN)/python -m pytest -m image $(ARGS)

soak: $(VENV)/dev.stamp  ## run the daemon under random events for 20 minutes
	PY_IMAGE_DEDUP_SOAK_SECONDS=1200 $(BIN)/python -m pytest -m soak $(ARGS)

check: $(VENV)/site.stamp  ## check lint, types, import rules, and the links of the documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(VENV)/site.stamp: pyproject.toml $(VENV)/dev.stamp
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[site]'
	@touch $@

site: $(VENV)/site.stamp  ## build the documentation site in build/site; fails for a link that leads nowhere
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: $(VENV)/dev.stamp  ## format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

tables: $(VENV)/dev.stamp  ## regenerate the tables, the example and the schemas in README.md and docs
	$(BIN)/python -m tools.tables

bench: $(VENV)/dev.stamp  ## run every benchmark; prints what docs/benchmarks.md records
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; PYTHONPATH=. $(BIN)/python $$script; done

clean:  ## remove the virtual environment, caches and built packages
	rm -rf $(VENV) frontend/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
