.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
export DBT_PROFILES_DIR := profiles
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help
help: ## What can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

$(VENV)/.installed: requirements.lock pyproject.toml
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check uv==0.13.9
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.PHONY: install
install: $(VENV)/.installed ## The environment, from the hashed lock

.PHONY: run
run: install ## The demo company: load, build, today's figures
	kpi demo

.PHONY: test
test: lint ## Everything that guards a promise
	pytest -m "not soak"

# The templater opens a warehouse file; it gets one of its own.
.PHONY: lint
lint: export KPI_DUCKDB_PATH := target/lint.duckdb
lint: install ## ruff, mypy, sqlfluff, dbt parse of both targets
	@mkdir -p target
	ruff check .
	ruff format --check .
	mypy
	dbt --quiet parse --no-partial-parse --target duckdb --warn-error-options '{"error": "all"}'
	KPI_BIGQUERY_PROJECT=offline dbt --quiet parse --no-partial-parse --target bigquery --target-path target/bigquery --warn-error-options '{"error": "all"}'
	sqlfluff lint --processes 2 models tests/data
	python docs/generate.py --check

.PHONY: docs
docs: install ## The generated parts of README.md
	python docs/generate.py

.PHONY: soak
soak: install ## The long tests
	pytest -m soak

.PHONY: smoke-bigquery
smoke-bigquery: install ## The whole way on a real BigQuery project, in datasets that are deleted at the end
	python tests/smoke_bigquery.py

.PHONY: bench
bench: install ## Measure against stated yardsticks
	python -m bench

.PHONY: lock
lock: ## Resolve the dependencies anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --group dev pyproject.toml --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-emit-index-url \
		--no-header tests/bigquery/emulator.in --output-file tests/bigquery/emulator.lock
