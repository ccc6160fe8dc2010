# `make` lists the targets. $(PYTHON) creates .venv, and everything else runs in it.
PYTHON ?= python3
BIN := .venv/bin
DIR ?=
JOBS ?= auto

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: new
new: .venv/fastforge ## Generate a service: make new DIR=../myapi
	@$(BIN)/fastforge new $(DIR)

# In CI the covering set; on a developer's machine, a run of five minutes.
CHOSEN = $(or $(VARIANTS),$(if $(filter-out false 0,$(CI)),covering,quick))

# A failed test runs up to twice more, because servers, signals and clocks are unreliable on a busy machine. The last
# line of the output counts such tests.
.PHONY: test
test: install ## Check and test; VARIANTS=covering, all or the name of a variant tests more
	@$(BIN)/python -m pytest --quiet --phases --fetch-interpreters --variants $(CHOSEN) \
		--numprocesses $(JOBS) --maxprocesses 5 --dist loadgroup --reruns 2

.PHONY: dev
dev: install ## Render a project to var/dev that is linked to template/: make dev ANSWERS="database=postgres"
	@$(BIN)/python -m tests.dev $(ANSWERS)

.PHONY: test-machinery
test-machinery: dev ## Test app/forge there; ARGS go to pytest, ANSWERS to make dev
	@$(BIN)/python -m tests.dev --test tests/machinery $(ARGS)

.PHONY: mutants
mutants: install ## Break copies of the template on purpose, and check that tests fail; NAMES=… selects
	$(BIN)/python -m tests.mutants $(NAMES)

.PHONY: lint
lint: install ## Check formatting, style, types, English and spelling
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m tools.prose
	$(BIN)/codespell

.PHONY: format
format: install ## Format, and fix what can be fixed automatically
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: lock
lock: install ## Pin the dependencies; FLAGS=--upgrade takes the newest versions
	$(BIN)/python -m tests.lock $(FLAGS)
	$(BIN)/python -m tests.twins

.PHONY: twins
twins: install ## Write the default renderings of the .jinja files
	$(BIN)/python -m tests.twins

# Subprocesses are measured, too. The threshold is in pyproject.toml.
.PHONY: coverage
coverage: install ## Run the generator's tests, and show which of its lines they reach, in ten minutes
	@rm -rf var/coverage && mkdir -p var/coverage
	@$(BIN)/python -m coverage run -m pytest --quiet --variants quick --numprocesses $(JOBS) --maxprocesses 5 \
		--dist loadgroup --reruns 2 tests/generator tests/updates
	@$(BIN)/python -m coverage combine --quiet
	@$(if $(GITHUB_STEP_SUMMARY),$(BIN)/python -m coverage report --format=markdown --fail-under=0 >> "$(GITHUB_STEP_SUMMARY)")
	@$(BIN)/python -m coverage report

.PHONY: dist
dist: install ## Build wheel and sdist in dist/, and check both without a network: make dist VERSION=1.2.3
	@$(BIN)/python -m tools.release $(VERSION)

.PHONY: release
release: export VARIANTS ?= all
release: test dist ## Test every variant, then build and check a release: make release VERSION=1.2.3

.PHONY: install
install: .venv/tested ## Install into .venv

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# The runtime dependencies in the exact versions that were tested, and FastForge itself as an editable install.
.venv/fastforge: requirements/fastforge.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements/fastforge.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/tested: .venv/fastforge requirements/dev.txt
	$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

.venv/benchmarks/installed: requirements/benchmarks.txt
	$(PYTHON) -m venv .venv/benchmarks
	.venv/benchmarks/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/benchmarks.txt
	@touch $@

# FastForge and its measuring kit, in an environment where they are not installed.
MEASURE = PYTHONPATH=generator:kit

.PHONY: benchmarks
benchmarks: .venv/benchmarks/installed ## Measure every goal and write docs/performance.md, in twelve minutes
	$(MEASURE) .venv/benchmarks/bin/python -m benchmarks --results benchmarks/results --docs docs $(FLAGS)

.PHONY: benchmarks-published
benchmarks-published: .venv/benchmarks/installed ## Measure services of other generators; FULL_STACK=… is a checkout of one
	$(MEASURE) .venv/benchmarks/bin/python -m benchmarks --published $(if $(FULL_STACK),--full-stack "$(FULL_STACK)") \
		--results benchmarks/results --docs docs $(FLAGS)

.PHONY: benchmark-updates
benchmark-updates: install ## Measure one update compared with copier update, and 100 at once, in five minutes
	$(MEASURE) $(BIN)/python -m benchmarks.comparisons.updates --results benchmarks/results

.PHONY: bench-optimizations
bench-optimizations: .venv/benchmarks/installed ## Measure each optimization on and off, in fifteen minutes; NAMES=… selects
	$(MEASURE) .venv/benchmarks/bin/python -m benchmarks.optimizations $(NAMES)
