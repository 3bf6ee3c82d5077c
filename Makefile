# Everything a newcomer runs; `make help` lists it. Set-up is in .venv, from requirements.lock.
.DEFAULT_GOAL := help
.PHONY: help repro test regression services faults audit expectations ablation results experiments ui serve lint docs numbers setup lock
unexport PYTHONDONTWRITEBYTECODE  # packages are installed uncompiled: the first import writes the bytecode
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUNBUFFERED := 1
PIP := .venv/bin/python -m pip --quiet --quiet
INSTALLED := .venv/.installed

help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

repro: $(INSTALLED) ## Run the whole pipeline on the corpus of params.yaml and print the result
	@python -m json.tool .dvc/tmp/rwlock &>/dev/null || rm -f .dvc/tmp/rwlock  # a killed DVC may leave half of it
	@dvc repro systems trials validate_features
	@dvc stage list --name-only | sed -n 's/^train@//p' | \
	    xargs -P 2 -I{} dvc --wait-for-lock repro --single-item train@{} evaluate@{}  # two systems at once
	@dvc repro
	@python -m pipelines.result

test: $(INSTALLED) ## Run the tests and print what part of laspa they run
	@python -m pytest -q --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --cov

regression: $(INSTALLED) ## Run a tiny profile of the pipeline and compare its metrics with what is expected
	@python -m pytest -q -m regression tests/regression

services: $(INSTALLED) ## Run the tests that start clusters and servers: Ray, PostgreSQL, S3
	@python -m pytest -q -m services --numprocesses 2 --dist loadfile --no-loadscope-reorder

faults: $(INSTALLED) ## Kill, fill disks, damage inputs, lie and search for secrets; write tests/faults/summary.json
	@LASPA_FAULTS_SUMMARY=yes python -m pytest -q --numprocesses 2 --dist loadfile -m 'faults or not faults' tests/faults

# The tools have an environment of their own, so that they are no part of what they look at.
AUDIT := build/audit
AUDITORS := 'pip-audit>=2.10,<3' 'pip-licenses>=5.5,<6' 'cyclonedx-bom>=7.2,<8'
audit: $(INSTALLED) ## Write licences and an SBOM (CycloneDX) into build/audit; look for known vulnerabilities in the lock
	@mkdir -p $(AUDIT) && python -m venv --clear $(AUDIT)/tools
	@$(AUDIT)/tools/bin/python -m pip --quiet install $(AUDITORS)
	@$(AUDIT)/tools/bin/pip-licenses --python .venv/bin/python --format csv --with-urls --output-file $(AUDIT)/licences.csv
	@$(AUDIT)/tools/bin/cyclonedx-py environment .venv/bin/python --pyproject pyproject.toml \
	    --output-reproducible --output-file $(AUDIT)/sbom.cdx.json
	@grep -iE 'GPL|EPL|UNKNOWN' $(AUDIT)/licences.csv | sed 's/^/Look at  /' || true
	@echo "Licences $(AUDIT)/licences.csv, SBOM $(AUDIT)/sbom.cdx.json"
	@$(AUDIT)/tools/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off --requirement requirements.lock

expectations: $(INSTALLED) ## Take what the tiny profile measures now as what is expected of it
	@python -m tests.regression.compare --update

ablation: $(INSTALLED) ## Measure what each part of LASPA gives, after `make repro`; the next one shows it
	@dvc --cd studies/ablation repro
	@dvc --cd studies/prefix_heads repro

results: $(INSTALLED) ## Run the comparison on the full budget, after `make repro`, and write docs/results.md
	@dvc --cd studies/results repro

# `dvc exp show` has 300 columns: every metric, all of params.yaml, every dependency. This leaves what tells most.
EERS := conditions\.(cross_same|all)\.eer$$|systems\.\w+\.(cross_same|all)$$
REST := Created|conditions|language_probe|m(apc|se)$$|added_|trial_list|.*/
experiments: $(INSTALLED) ## Compare the experiments: their EERs, and the params that they changed
	@[ -t 1 ] || export COLUMNS=160; dvc exp show --no-pager --only-changed --keep '$(EERS)' --drop '$(REST)'

ui: $(INSTALLED) ## Open the tracked runs in MLflow, on this machine only
	@python -m pipelines.tracking.ui

serve: $(INSTALLED) ## Serve the registered champion, on this machine only; after `laspa register` and `laspa promote`
	@python -m pipelines.serving.app

lint: $(INSTALLED) ## Check style, types and which module imports which
	@ruff check . && ruff format --check . && mypy && lint-imports --no-logo

docs: $(INSTALLED) ## Build the documentation's site into build/site, and fail at a broken link
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet && echo "Site  build/site/index.html"

numbers: $(INSTALLED) ## Write the numbers in README.md and docs/ anew, from reports/, after `make repro`
	@python -m pipelines.docs_numbers

setup: $(INSTALLED) ## Create .venv and install the locked packages (the targets above do so too)

# pip itself is locked too: a new one takes half the time of the one that comes with Python.
$(INSTALLED): requirements.lock pyproject.toml
	@[ -x .venv/bin/python ] || { python=$$(.ci/find-python) && "$$python" -m venv --clear .venv; }
	@echo "Installing the packages of requirements.lock into .venv (a minute or two)"
	@$(PIP) install --no-compile $$(grep -E '^(pip|setuptools)==' requirements.lock)
	@$(PIP) install --no-compile --no-build-isolation --constraint requirements.lock --editable '.[dev]'
	@touch $@

# uv writes one lock for Python 3.11 and all later ones, with the GPU libraries, and installs nothing for it.
lock: ## Write requirements.lock anew: the newest versions that pyproject.toml allows
	@python=$$(.ci/find-python) && new=$$(mktemp -d) && trap 'rm -rf "$$new"' EXIT && \
	"$$python" -m venv "$$new" && "$$new/bin/python" -m pip --quiet install uv && \
	{ echo '# Written by `make lock`: all that pyproject.toml brings in, GPU libraries and development tools too.' && \
	  "$$new/bin/uv" --quiet pip compile --universal --python-version 3.11 --extra dev --upgrade \
	    --no-annotate --no-header pyproject.toml; } > "$$new/lock" && cp "$$new/lock" requirements.lock
