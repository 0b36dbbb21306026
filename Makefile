# Two commands set everything up: `make demo` and `make test`. Only Python 3.11+, git and make are needed.
PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
RUN := .venv/bin/python -m
# Compiled bytecode halves the start-up of every job: some machines switch it off for all.
export PYTHONDONTWRITEBYTECODE :=
unexport PYTHONPATH
# Nothing in the home folder but package caches.
export MPLCONFIGDIR := $(CURDIR)/.venv/matplotlib

.PHONY: help setup demo test test-all lint format lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
	@echo
	@echo "The full reproduction on Clotho v2.1: .venv/bin/snakemake --cores 8 all"

setup: .venv/.installed ## the environment alone: .venv, from the lock with hashes

.venv/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; found " + sys.version + "; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(RUN) pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r envs/uv.lock
	$(RUN) uv pip install --quiet --python .venv/bin/python --compile-bytecode --require-hashes -r requirements.lock
	$(RUN) uv pip install --quiet --python .venv/bin/python --no-deps --editable .
	$(RUN) compileall -q src
	@touch $@

demo: setup ## the whole workflow on the embedded synthetic corpus (minutes on two cores)
	$(RUN) snakemake --cores $(CORES) --configfile config/demo.yaml
	@cat results/synthetic/report/scores.txt
	@echo "Report: $(CURDIR)/results/synthetic/report/index.html"

test: setup ## the tests
	$(RUN) pytest -m "not slow"

test-all: setup ## the tests and the slow ones
	$(RUN) pytest

lint: setup ## formatting, lint and types, as CI checks them
	$(RUN) ruff format --check
	$(RUN) ruff check --no-cache # which modules are ours is no part of its cache
	$(RUN) snakefmt --check Snakefile workflow/rules
	$(RUN) mypy
	$(RUN) snakemake --lint

format: setup ## format all code
	$(RUN) ruff format
	$(RUN) ruff check --fix
	$(RUN) snakefmt Snakefile workflow/rules

lock: setup ## resolve requirements.lock and envs/uv.lock anew
	$(RUN) uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	  --generate-hashes --no-emit-index-url --no-header --extra dev --extra serve --extra export --extra slurm \
	  pyproject.toml --output-file requirements.lock
	echo uv | $(RUN) uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header - --output-file envs/uv.lock

clean: ## remove results (resources and .venv stay)
	find results -mindepth 1 ! -name README.md -delete
