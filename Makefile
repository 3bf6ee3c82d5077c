# Everything a newcomer runs; `make help` lists it. Set-up is in .venv, from requirements.lock.
.DEFAULT_GOAL := help
.PHONY: help repro test regression ui lint lock setup
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUNBUFFERED := 1
PIP := .venv/bin/python -m pip --quiet
INSTALLED := .venv/.installed

help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

repro: $(INSTALLED) ## Run the whole pipeline on the corpus of params.yaml and print the result
	@dvc repro
	@python -m pipelines.result

test: $(INSTALLED) ## Run the tests
	@python -m pytest -q

regression: $(INSTALLED) ## Run a tiny profile of the pipeline and compare its metrics with what is expected
	@python -m tests.regression.compare

ui: $(INSTALLED) ## Open the tracked runs in MLflow, on this machine only
	@mlflow ui --host 127.0.0.1 --port $${PORT:-5000} --backend-store-uri sqlite:///mlflow.db

lint: $(INSTALLED) ## Check style and types
	@ruff check . && ruff format --check . && mypy

setup: $(INSTALLED) ## Create .venv and install the locked packages (the targets above do so too)

# Everything is pinned, so pip need not look for what a package depends on: half the time. Only
# torch brings its own pinned GPU libraries, which differ between its builds: the second line.
$(INSTALLED): requirements.lock pyproject.toml
	@python=$$(.ci/find-python) && \
	if ! [ -x .venv/bin/python ]; then echo "Creating .venv with $$python" && "$$python" -m venv --clear .venv; fi
	@echo "Installing requirements.lock into .venv (some minutes the first time)"
	@$(PIP) install --no-compile --no-deps -r requirements.lock
	@$(PIP) install --no-compile -c requirements.lock $$(grep '^torch==' requirements.lock)
	@$(PIP) install --no-compile --no-deps --no-build-isolation -e .
	@touch $@

# Builds of torch differ in their local version and in their GPU libraries: neither is locked.
lock: ## Write requirements.lock anew from pyproject.toml, with the newest versions it allows
	@python=$$(.ci/find-python) && folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	"$$python" -m venv "$$folder" && \
	"$$folder/bin/python" -m pip --quiet install --no-compile '.[dev]' && \
	{ echo '# Written by `make lock` from pyproject.toml.' && \
	  "$$folder/bin/python" -m pip freeze --all --exclude pip --exclude laspa | \
	  grep -vE '^(nvidia-|cuda-|triton)' | sed -E 's/\+[a-z0-9.]+$$//'; } > requirements.lock.new
	@mv requirements.lock.new requirements.lock
