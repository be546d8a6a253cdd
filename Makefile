# Bathtub. `make` or `make help` lists what there is. Works with GNU make 3.81 and later.
# Settings are environment variables (see .env.example); a .env file adds those that the environment does not set.

.DEFAULT_GOAL := help
.PHONY: help setup demo build restate dev challenges alerts confirm-deletion publish query looker-url dbt-docs report serve report-library pictures mail-servers retention-export backup restore example spark-up spark-down test test-slow test-bigquery lint audit format reference bench lock clean clean-data

VENV := .venv
PY := $(VENV)/bin/python
# Dependencies come hashed and complete from a lock. uv does not read pip's configuration, so it is told pip's index, if any.
SYNC = index=$$($(PY) -m pip config get global.index-url 2>/dev/null) && export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}"; \
	[ -n "$$UV_DEFAULT_INDEX" ] || unset UV_DEFAULT_INDEX; $(VENV)/bin/uv pip sync --quiet --require-hashes --python $(PY)
# What runs on the user's data reads .env; tests do not.
RUN := $(PY) -m $(if $(wildcard .env),dotenv -f .env run --no-override -- $(PY) -m )
MONTHS := $(if $(FROM),--from '$(FROM)') $(if $(TO),--to '$(TO)')
SLOW := slow or engines or browser or soak or scale
MODELS := $(wildcard dbt_project/models dbt_project/snapshots dbt_project/tests)
CACHES := .pytest_cache .mypy_cache .ruff_cache .hypothesis
ARTEFACTS := dbt_project/target dbt_project/logs logs build dist $(CACHES)

# Interpreter for a new .venv: the first of PYTHONS that is recent enough and can make one. PYTHON=… decides otherwise.
PYTHONS := $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3)
USABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

##@ Run

demo: $(VENV)/.base ## Make a realistic base, close all its months, say where things are
	@$(RUN) orchestration demo

build: $(VENV)/.base ## Close the months that are not closed yet (FROM=2024-01 TO=2026-10 bound them)
	@$(RUN) orchestration build $(MONTHS) $(if $(MARK_BREAK),--mark-break)

restate: $(VENV)/.base ## Compute closed months again, late rows where they happened (FROM=2026-03; DRY_RUN=1 shows, YES=1 does)
	@if [ -z '$(FROM)' ]; then echo 'Say from which month: make restate FROM=2026-03 DRY_RUN=1' >&2; exit 2; fi
	@$(RUN) orchestration restate --from '$(FROM)' $(if $(DRY_RUN),--dry-run) $(if $(YES),--yes)

dev: $(VENV)/.base ## Open the orchestrator's web page on this machine
	@$(RUN) orchestration dev

challenges: $(VENV)/.base ## Tell what the base hides, the latest closed month (CHALLENGE_ARGS="--month 2026-10 --language en")
	@$(RUN) orchestration challenges $(CHALLENGE_ARGS)

alerts: $(VENV)/.base ## List what is wrong now (ALERT_ARGS="ack 12", mute, noise, show, deliver, test)
	@$(RUN) orchestration alerts $(ALERT_ARGS)

confirm-deletion: $(VENV)/.base ## Confirm that a mass deletion is real (CONFIRM_ARGS="--by NAME --yes")
	@$(RUN) orchestration confirm-deletion $(CONFIRM_ARGS)

publish: $(VENV)/.base ## Show the marts to BI tools: PostgreSQL (embedded unless BATHTUB_POSTGRES_DSN), files
	@$(RUN) orchestration publish

looker-url: $(VENV)/.base ## Print the address of a Looker Studio report on the marts in BigQuery (LOOKER_ARGS="--report-id …")
	@$(RUN) orchestration looker-url $(LOOKER_ARGS)

dbt-docs: $(VENV)/.base ## Write dbt's documentation of models, columns and lineage as one page (data/dbt.html)
	@$(RUN) orchestration dbt-docs

query: export QUERY = $(value SQL)
query: $(VENV)/.base ## Ask the published marts as bi_reader (SQL="select * from marts.bi_refresh_status")
	@if [ -z "$$QUERY" ]; then echo 'Say what to ask: make query SQL="select * from marts.bi_refresh_status"' >&2; exit 2; fi
	@$(RUN) orchestration query -- "$$QUERY"

report: $(VENV)/.base ## Write the report of the latest closed month (MONTH=2026-10; PDF=1 prints, MAIL=1 mails, OPEN=1 opens it)
	@$(RUN) orchestration report $(if $(MONTH),--month '$(MONTH)') $(if $(PDF),--pdf) $(if $(MAIL),--mail) $(if $(OPEN),--open)

serve: $(VENV)/.base ## Serve the folder of the reports to this machine alone (PORT=8110)
	@$(RUN) orchestration serve $(if $(PORT),--port '$(PORT)')

mail-servers: $(VENV)/.base ## Ask name servers which e-mail domains of the base accept mail (MAIL_ARGS="--max-age-days 30")
	@$(RUN) orchestration mail-servers $(MAIL_ARGS)

retention-export: $(VENV)/.base ## Write the profiles overdue for deletion to a file (RETENTION_ARGS="--source web --status prospect")
	@$(RUN) orchestration retention-export $(RETENTION_ARGS)

backup: $(VENV)/.base ## Copy warehouse, closed months and incidents to one file, while runs go on (TO=folder)
	@$(RUN) orchestration backup $(if $(TO),--to '$(TO)')

restore: $(VENV)/.base ## Put a backup in the place of the warehouse (FROM=file; FORCE=1 over a newer one)
	@if [ -z '$(FROM)' ]; then echo "Say which backup: make restore FROM=data/backups/bathtub-….tar" >&2; exit 2; fi
	@$(RUN) orchestration restore '$(FROM)' $(if $(FORCE),--force)

example: $(VENV)/.base ## Run an example on real data: NAME=online_retail DATA=folder
	@if [ -z '$(NAME)' ] || [ -z '$(DATA)' ]; then \
		echo "Say which example and where its data is: make example NAME=online_retail DATA=path/to/folder (see examples/README.md)." >&2; \
		exit 2; \
	fi
	@$(RUN) examples.run '$(NAME)' '$(DATA)'

##@ Spark

spark-up: $(VENV)/.engines ## Start a Spark cluster on this machine (SPARK_ARGS="--workers 2 --cores 1 --memory 2g")
	@$(RUN) orchestration.spark.cluster start $(SPARK_ARGS)

spark-down: $(VENV)/.engines ## Stop it; its tables stay
	@$(RUN) orchestration.spark.cluster stop

##@ Develop

setup: $(VENV)/.dev ## Install everything into .venv, development tools included
	@echo "Ready: $$($(PY) --version) in $(VENV)."

test: $(VENV)/.dev ## Run the tests (PYTEST_ARGS="-k retention")
	@$(PY) -m pytest $(PYTEST_ARGS)

test-slow: $(VENV)/.engines ## Run the tests too long for `make test` (SLOW="slow or engines" chooses)
	@$(PY) -m pytest --timeout 1800 -m '$(SLOW)' $(PYTEST_ARGS) || { code=$$?; \
		if [ $$code -eq 5 ]; then echo "No test is marked: $(SLOW)."; else exit $$code; fi; }

test-bigquery: $(VENV)/.dev $(VENV)-bigquery/.bigquery ## Analyse, evaluate and emulate the BigQuery target, without a network
	@$(VENV)-bigquery/bin/python -m pytest -p no:bqemulator --timeout 1800 tests/bigquery $(PYTEST_ARGS)

lint: $(VENV)/.dev ## Check locks, format, lint rules, types and SQL
	@echo "Locks against pyproject.toml"
	@$(VENV)/bin/uv pip install --quiet --dry-run --no-index --python $(PY) -r pyproject.toml --group dev \
		|| { echo "requirements/ is out of step with pyproject.toml; run: make lock" >&2; exit 1; }
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/sqlfluff lint --disable-progress-bar --processes 2 $(MODELS)

audit: $(VENV)/.dev ## Ask for known vulnerabilities of the locked packages (needs the internet; exit status 3: not checked)
	@index=$$($(PY) -m pip config get global.index-url 2>/dev/null) && export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}"; \
		[ -n "$$UV_DEFAULT_INDEX" ] || unset UV_DEFAULT_INDEX; $(PY) -m orchestration.audit

format: $(VENV)/.dev ## Format Python, repair what the linters can repair
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/sqlfluff fix --quiet --disable-progress-bar $(MODELS)

reference: $(VENV)/.dev ## Write the reference data (domains, numbering plans, postal codes) anew from their libraries
	@$(PY) -m orchestration.reference

report-library: $(VENV)/.dev ## Write the report's chart library anew (orchestration/report/library)
	@$(PY) -m orchestration.report.library

pictures: $(VENV)/.dev ## Take the README's pictures from the latest report, with an installed Chromium
	@$(RUN) orchestration.report.pictures

bench: $(VENV)/.engines ## Run the measured comparisons
	@$(RUN) benchmarks $(BENCH_ARGS)

lock: $(VENV)/.dev ## Write requirements/*.lock anew from pyproject.toml (LOCK_ARGS=--upgrade)
	$(VENV)/bin/uv pip compile pyproject.toml -o requirements/base.lock $(COMPILE)
	$(VENV)/bin/uv pip compile pyproject.toml --group dev -c requirements/base.lock -o requirements/dev.lock $(COMPILE)
	$(VENV)/bin/uv pip compile pyproject.toml --extra spark --group dev --group bench -c requirements/dev.lock \
		-o requirements/engines.lock $(COMPILE)
	$(VENV)/bin/uv pip compile --group bigquery -o requirements/bigquery.lock $(COMPILE)

COMPILE = --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command 'make lock' $(LOCK_ARGS)

##@ Clean

clean: ## Delete build artefacts and caches; keeps data/ and .venv
	rm -rf $(ARTEFACTS)
	find .ci orchestration examples benchmarks tests -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

clean-data: ## Delete warehouse, runs, demo and examples in data/; keeps data/raw and data/backups (asks for YES=1)
	@if [ '$(YES)' != 1 ]; then \
		echo "This deletes for good, closed months included:"; \
		find data -mindepth 1 -maxdepth 1 ! -name raw ! -name backups 2>/dev/null | sed 's/^/  /'; \
		echo "To go on: make clean-data YES=1"; \
		exit 2; \
	fi
	@find data -mindepth 1 -maxdepth 1 ! -name raw ! -name backups -exec rm -rf {} + 2>/dev/null || true

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo

# ---- the Python environment -----------------------------------------------------------------------------------------

$(PY):
	@for p in $(PYTHONS); do \
		if $$p -c '$(USABLE)' 2>/dev/null; then found=$$p; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "No usable Python: Bathtub needs Python 3.11, 3.12 or 3.13 with its venv module (tried: $(PYTHONS))." >&2; \
		echo "Install one (Debian and Ubuntu: apt-get install python3-venv) or name it: make PYTHON=/path/to/python3.11 …" >&2; \
		exit 1; \
	fi; \
	echo "Making $(VENV) with $$($$found --version)"; \
	$$found -m venv --clear $(VENV) && $(PY) -m pip install -qq --disable-pip-version-check uv || { rm -rf $(VENV); exit 1; }

$(VENV)/.base: requirements/base.lock | $(PY)
	@echo "Installing the packages of $< (once; under a minute on most machines)"
	@$(SYNC) $<
	@rm -f $(VENV)/.dev $(VENV)/.engines
	@touch $@

# dev.lock holds all of base.lock in the same versions, and engines.lock all of dev.lock, so one .venv serves all. A smaller
# lock that changed takes the packages of the larger ones away, and their marks with them.
$(VENV)/.dev: requirements/dev.lock | $(PY)
	@echo "Installing the packages of $< (once; under a minute on most machines)"
	@$(SYNC) $<
	@rm -f $(VENV)/.engines
	@touch $(VENV)/.base $@

$(VENV)/.engines: requirements/engines.lock | $(PY)
	@echo "Installing the packages of $<, Spark among them (once; a minute or two on most machines)"
	@$(SYNC) $<
	@touch $(VENV)/.base $(VENV)/.dev $@

# Apart from .venv, since the emulator wants an older sqlglot than Dagster. Its plugin for pytest wants a package of containers,
# so pytest runs without it.
$(VENV)-bigquery/.bigquery: requirements/bigquery.lock | $(VENV)/.dev
	@echo "Installing the packages of $< (once; under a minute on most machines)"
	@$(PY) -m venv --clear $(VENV)-bigquery
	@$(subst --python $(PY),--python $(VENV)-bigquery/bin/python,$(SYNC)) $<
	@touch $@
