# Needs Python 3.11 or newer, git and make. Everything else goes into .venv, from requirements-dev.lock, hash by hash.
#   make test          every check there is          make demo          the whole story in a minute
#   make PYTHON=python3.12 test                      picks the interpreter the environment is made with

PYTHON ?= python3
FILES ?= .
SHELL := /bin/sh
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --no-input --disable-pip-version-check

# Another environment, or a personal pip setting that sends packages elsewhere, has no say here.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_REQUIRE_VIRTUALENV

.DEFAULT_GOAL := help
.PHONY: help setup test demo format format-check lint typecheck imports validate pytest lock lock-upgrade build bench clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

setup: .venv/installed ## make or update .venv

test: .venv/installed ## format, lint, types, imports, desired state, tests: what CI runs
	@$(MAKE) --no-print-directory format-check
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory typecheck
	@$(MAKE) --no-print-directory imports
	@$(MAKE) --no-print-directory validate
	@$(MAKE) --no-print-directory pytest

demo: .venv/installed ## the whole story against an embedded tenant
	@$(BIN)/reconciler demo

format: .venv/installed ## rewrite code in the project's format; FILES="reconciler/scim" picks some
	@echo "==> ruff format"
	@$(BIN)/python -m ruff check --select I --fix --quiet $(FILES)
	@$(BIN)/python -m ruff format $(FILES)

format-check: .venv/installed
	@echo "==> ruff format --check"
	@$(BIN)/python -m ruff format --check .

lint: .venv/installed ## ruff, all rules
	@echo "==> ruff check"
	@$(BIN)/python -m ruff check .

typecheck: .venv/installed ## mypy, strict
	@echo "==> mypy"
	@$(BIN)/python -m mypy

imports: .venv/installed ## who may import whom
	@echo "==> import contracts"
	@$(BIN)/lint-imports --no-logo

validate: .venv/installed ## the desired state in this repository
	@echo "==> reconciler validate"
	@$(BIN)/reconciler validate --root desired-state

pytest: .venv/installed ## the tests alone; ARGS="tests/unit -k patch" picks some
	@echo "==> pytest"
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

lock: .venv-lock/bin/uv ## pin again what pyproject.toml asks for, keeping the pins that still fit
	@echo "==> requirements.lock"
	@$(UV_COMPILE) pyproject.toml --output-file requirements.lock
	@echo "==> requirements-dev.lock"
	@$(UV_COMPILE) pyproject.toml --group dev --constraints requirements.lock --output-file requirements-dev.lock

lock-upgrade: ## the same, with the newest versions that fit
	@$(MAKE) --no-print-directory lock UPGRADE=--upgrade

build: .venv/installed ## wheel and sdist in dist/
	@echo "==> build"
	@$(BIN)/python -m build --no-isolation --outdir dist .

bench: .venv/installed ## CPU and memory of a cold plan, as ratios
	@$(BIN)/python benchmarks/cold_plan.py

clean: ## remove the environment, caches and builds
	@rm -rf .venv .venv-lock dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Neither lock file may say where packages come from: everyone uses the index their own pip is set up with.
UV_COMPILE = .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(UPGRADE)

.venv-lock/bin/uv:
	@echo "==> uv, for the lock files only"
	@$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip --quiet --no-input --disable-pip-version-check install 'uv>=0.9,<1'

# Two stamps: the locked packages, then this project on top of them. Only wheels are installed, so no package gets
# to run code before its hash was compared.
.venv/locked: requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "This project needs Python 3.11 or newer, and '$(PYTHON)' is not: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "==> .venv, $$($(PYTHON) --version)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv || { \
	  echo "Python's venv module failed. On Debian and Ubuntu it is a package of its own: python3-venv." >&2; exit 1; }
	@echo "==> packages of requirements-dev.lock"
	@$(PIP) install --require-hashes --only-binary :all: --requirement requirements-dev.lock
	@touch $@

.venv/installed: .venv/locked pyproject.toml reconciler/__init__.py
	@echo "==> reconciler, editable"
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@
