# All set-up happens here: `make demo` and `make test` need nothing but make, a shell and Python 3.11 or later.
# Portable to GNU make 3.81 and BSD tools (macOS).

SHELL := /bin/sh
TORCH ?= auto
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := recon physics priors datasets benchmarks

# Whatever the caller's shell has activated must not leak into ours.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
export PYTHON

.PHONY: help setup demo test check lint docs audit sbom licences clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s  %s\n", $$1, $$2 }' Makefile
	@echo "  TORCH=cpu or TORCH=cuda and PYTHON=python3.12 choose torch's build and the interpreter of a new environment."

setup: $(VENV)/.installed-dev ## make the environment .venv with the tools of developers, once

demo: $(VENV)/.installed ## reconstruct the shipped CT case from 40 views; writes demo/
	@$(BIN)/recon svct --views 40 --output demo --overwrite

# One thread a worker: threads of several workers would fight over the cores. A worker holds torch, hence at most four.
# worksteal gives each worker neighbouring tests, so that what a file trains for its tests is trained once.
test: $(VENV)/.installed-dev ## run the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -r fEs -n auto --maxprocesses 4 --dist worksteal

lint: $(VENV)/.installed-dev ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# NO_MKDOCS_2_WARNING: mkdocs-material has fixes until May 2027; its successor reads the same mkdocs.yml.
docs: $(VENV)/.installed-dev ## build the documentation, site/index.html, and run its notebooks
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "written: site/index.html"

check: lint test ## everything that must pass before a change is handed in

audit: $(VENV)/.installed-dev ## ask the OSV database of known weaknesses about the pinned versions
	@sh .ci/audit

sbom: $(VENV)/.installed-dev ## write sbom.json, what a release brings along, in the CycloneDX format
	@$(BIN)/python .ci/sbom

licences: $(VENV)/.installed-dev ## write docs/licences.md, the licences of the dependencies
	@$(BIN)/python .ci/licences

clean: ## remove the environment, caches and demo output
	rm -rf $(VENV) .venv-tools sbom.json demo site build dist *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The files are written last, so a half-made environment does not count. The first is that of a user's environment, which
# the tools of developers are added to.
$(VENV)/.installed: pyproject.toml constraints.txt .ci/setup
	@sh .ci/setup $(TORCH) user

$(VENV)/.installed-dev: pyproject.toml constraints.txt .ci/setup
	@sh .ci/setup $(TORCH) dev
