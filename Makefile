# Keel's targets. `make help` lists them; ENV chooses the environment (stacks/Pulumi.ENV.yaml).
ENV ?= dev
export ENV
RUN := tools/run
FAST := tools/run --no-docker
# Environments of the kinds dev and ci are made to be remade: no question, no preview first, and no host is stopped before it is
# removed. Elsewhere, and where the stack file does not say its kind, Pulumi shows what it will do and asks.
REMADE = $(filter remade,$(shell $(or $(PYTHON),python3) -m environment.kind $(ENV)))
UP_FLAGS ?= $(if $(REMADE),--yes --skip-preview)
DOWN_FLAGS ?= $(if $(REMADE),--yes --skip-preview)
DISCARD = $(if $(and $(REMADE),$(filter --yes,$(DOWN_FLAGS))),--discard)

.DEFAULT_GOAL := help
.PHONY: help check up preview down shell setup verify status drift test test-fast lint bench bench-databases bench-backups campaign mutants \
        reference catalogue verify-schema dev-setup docker-up migrate migration test-db test-majors

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check:  ## what prevents a set-up on this machine; changes nothing
	@tools/setup --check

up: check  ## the environment, from whatever is there, verified
	@$(FAST) python -m ops.state.preflight $(ENV)
	@$(RUN) python -m ops.state.clear_killed $(ENV)
	@$(RUN) pulumi up -s $(ENV) --suppress-outputs $(UP_FLAGS)
	@./keel --env $(ENV) summary

preview:  ## what `make up` would change, drift on the hosts included
	@$(RUN) pulumi preview -s $(ENV) --refresh

down:  ## remove the environment (of kind dev or ci with data and stack; elsewhere volumes are kept)
	@$(RUN) python -m ops.state.clear_killed $(ENV) $(DISCARD)
	@$(FAST) pulumi destroy -s $(ENV) $(DOWN_FLAGS)
	@$(FAST) python -m ops.state.remove $(ENV)

shell:  ## a shell in which plain `pulumi`, `alembic`, `pytest` work
	@$(RUN) python -m ops.state.clear_killed $(ENV)
	@tools/shell

setup:  ## only the toolchain
	@tools/setup

verify:  ## run the verification against the running environment
	@./keel --env $(ENV) verify

status:  ## hosts, roles, lag, pools, versions, heads
	@./keel --env $(ENV) status

verify-schema:  ## BAC-31: heads, models, catalogue, functions and indexes of every database against this checkout
	@./keel --env $(ENV) db check

drift:  ## what differs from the model on the hosts and in the databases
	@./keel --env $(ENV) drift

lint:  ## ruff, mypy and plain words
	@$(FAST) tools/lint

test-fast:  ## no Docker: lint, unit, component and role tests
	@$(FAST) tools/test-fast

test: check lint  ## the gate: real servers, real environments next to a running one (seed=N repeats a draw, since=REV)
	@$(RUN) python -m tests.gate $(seed:%=--seed %) $(since:%=--since %)

reference:  ## regenerate schema, settings page, templates of .env, requirement map, list of checks and what the roles declare
	@$(FAST) python -m environment.schema
	@$(FAST) python -m environment.reference
	@for product in $(notdir $(patsubst %/product.yaml,%,$(wildcard db/*/product.yaml))); do \
		ENV=dev ./keel env $$product --template > db/$$product/.env.template; done
	@$(FAST) python -m tests.roles.declared
	@$(FAST) python -m tools.requirements_map
	@$(FAST) python -m ops.steps.checks

catalogue:  ## regenerate db/*/catalogue.txt from new databases at head
	@$(RUN) python -m tools.catalogues $(product)

bench:  ## cold start, no-op, one setting, drift check, status, down
	@$(RUN) python -m tests.bench

bench-databases:  ## populate rate, migrations and the products' queries on large data
	@$(RUN) python -m tests.bench.databases

bench-backups:  ## backup, restore and archive next to the raw tools; restores, the rebuild, what could be lost
	@$(RUN) python -m tests.bench.backups

campaign:  ## hours: every scenario of every family, then disasters at random moments; results below docs/evidence
	@$(RUN) python -m tests.gate --all
	@$(RUN) python -m tests.campaign $(rounds:%=--rounds %)
	@$(MAKE) --no-print-directory mutants

mutants:  ## one to two hours: random changes of the code, and whether a test fails; `make mutants seed=N`
	@$(RUN) python -m tools.mutants $(seed:%=--seed %)

dev-setup: up  ## BAC-47: environment, services, migrations, test data
	@./keel --env $(ENV) db seed --set demo

docker-up: up  ## BAC-47: alias of up

migrate:  ## BAC-47: every product to its head (part of up)
	@$(RUN) pulumi up -s $(ENV) $(UP_FLAGS)

migration:  ## BAC-30: a new revision: make migration product=jeex_idea name="add tags"
	@test -n "$(product)" && test -n "$(name)" || { echo 'usage: make migration product=NAME name="what it does"'; exit 1; }
	@./keel --env $(ENV) db revision $(product) "$(name)"

test-db:  ## BAC-47: only the database tests
	@$(RUN) pytest -q tests/db tests/test_*.py

test-majors:  ## the database tests on PostgreSQL 15 and 17
	@$(RUN) tools/test-majors
