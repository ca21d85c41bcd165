# One command per intent. Needs Python 3.11 and, for `make test`, root to install Chromium and MariaDB where they are absent.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 8501
QUICK := tests/data_contracts tests/foundation tests/ingest tests/serving tests/dashboards tests/test_house.py
# For every system and Python from this one on; what is pinned stays unless its line in the .in file changed.
LOCK := --generate-hashes --universal --python-version 3.11 --no-annotate --no-strip-extras --no-emit-index-url --no-emit-find-links

.DEFAULT_GOAL := help
.PHONY: help setup tools demo test quick suite check style types generated house advisories bench generate lock browser database clean sbom

help: ## list the commands
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/'

setup: .venv/ready ## make the environment and install the pinned packages that run the product

tools: .venv/tools # and those that test it

.venv/ready: requirements.txt requirements.in pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv 2>/dev/null || (apt-get update -qq && apt-get install -y -qq python3-venv && rm -rf .venv && $(PYTHON) -m venv .venv)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@# On all cores, where pip would compile on one; a package may hold files of another Python's.
	@$(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
	@touch $@

.venv/tools: .venv/ready requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt -r requirements-dev.txt
	@touch $@

demo: setup ## a sample group of three tenants, from feeds to dashboards
	$(BIN)/clinicmart demo --port $(PORT)

browser: ## Chromium for the page tests, through apt where it is absent
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core)

database: ## MariaDB for the tests of OpenEMR, through apt where it is absent; they start a server of their own
	@command -v mariadbd >/dev/null || test -x /usr/sbin/mariadbd || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mariadb-server)

test: tools browser database ## everything, ending in pytest's summary line
	@$(MAKE) --no-print-directory --jobs=2 check suite

quick: tools ## the inner loop: readers, contracts, serving, pages and the house, without a pipeline, browser or server
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --quick $(QUICK) $(PYTEST)

# As many processes as cores: more of them only take the cores from each other (measured: three do a tenth more work).
suite: tools
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST)

# Side by side, the longest first: without the results of an earlier check, types take a minute.
check: tools ## seconds: style, types, import rules, generated files, SQL, advisories where a source answers
	@MAKEFLAGS= $(MAKE) --no-print-directory --jobs=4 --output-sync=target types .venv/linted house generated advisories style

style: tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: tools
	$(BIN)/mypy

# Only where SQL changed since it was found right.
.venv/linted: dbt/.sqlfluff dbt/dbt_project.yml requirements-dev.txt $(shell find dbt/models dbt/tests dbt/macros -name '*.sql') | tools
	$(BIN)/sqlfluff lint --disable-progress-bar --processes 2 dbt/models dbt/tests
	@touch $@

generated: tools
	$(BIN)/python -m data_contracts.generate --check
	$(BIN)/python -m clinicmart.generate --check

house: tools
	$(BIN)/python -m pytest -q tests/test_house.py

advisories: tools
	$(BIN)/python -m clinicmart.dependencies advisories

bench: setup ## measure the budgets of a run on a quiet machine and write docs/performance.md; PART=small for one of its parts
	$(BIN)/python benchmarks/bench.py $(PART)

sbom: tools ## write sbom.cdx.json: every package of an installation, its version and licence (CycloneDX)
	$(BIN)/python -m clinicmart.dependencies sbom sbom.cdx.json

generate: setup ## write what follows from contracts, metrics and commands
	$(BIN)/python -m data_contracts.generate
	$(BIN)/python -m clinicmart.generate

lock: tools ## write requirements.txt and requirements-dev.txt, with hashes, from requirements.in and requirements-dev.in
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet $(LOCK) requirements.in -o requirements.txt
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet $(LOCK) requirements-dev.in -o requirements-dev.txt
	@for list in requirements.txt requirements-dev.txt; do $(BIN)/python -m clinicmart.dependencies bases $$list; done

clean: ## remove what runs and tests leave
	rm -rf .clinicmart .pytest_cache .mypy_cache .ruff_cache dbt/target dbt/logs
