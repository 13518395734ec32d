# Every task of the project; `make` alone lists them. Needs GNU make and CPython >= 3.11; the rest goes into $(VENV).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell .ci/interpreters | awk 'NR == 1 { print $$2 }')
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup
DEV_STAMP := $(VENV)/.setup-dev
UV := .tools/uv/bin/uv
TOOLS ?= $(CURDIR)/.tools
HELM := v3.18.6
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
TOXIPROXY := $(TOOLS)/toxiproxy/server
GO ?= $(shell command -v go || echo /usr/local/go/bin/go)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Images of Python often set it to 1. Each of the several hundred programs that the tests start then compiles its modules.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  PYTHON=/path/to/python3   interpreter for a new $$(VENV); default: the newest CPython >= 3.11 found here'
	@echo '  VENV=.venv                where everything is installed'
	@echo '  WORKERS=6                 test processes side by side, 0: all in one; default: 3 to 6'
	@echo '  ARGS="-k lease -x"        more arguments for test, coverage, demo, example, bench and lock'
	@echo '  TOOLS=.tools              where chaos and deploy-check keep Toxiproxy and helm, which go builds (absolute path)'
	@echo '  FULL=1                    test with what no run needs each time: the same on other stores, larger numbers'
	@echo '  QUICK=1                   bench and chaos with fewer and shorter rounds; chaos in WORKERS processes then'
	@echo '  NAME=sms                  the example to run'
	@echo '  CLUSTER=1                 demo on a whole cluster instead of one process'

.PHONY: setup
setup: $(STAMP)  ## install the locked dependencies and the project, with every command in .venv/bin

$(STAMP): pyproject.toml clients/python/pyproject.toml requirements/run.lock
	@python='$(PYTHON)' && test -n "$$python" && "$$python" -m venv --clear $(VENV)
	@echo "setup: $$($(BIN)/python --version) in $(VENV)"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/run.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e . -e clients/python
	@touch $@

.PHONY: wheels
wheels: setup  ## the wheels of the server and of the Python client, in dist/
	@rm -f dist/sharq_*.whl
	@$(BIN)/python -m hatchling build -t wheel -d dist
	@cd clients/python && $(abspath $(BIN))/python -m hatchling build -t wheel -d ../../dist

.PHONY: setup-dev
setup-dev: $(DEV_STAMP)  ## what tests, checks, benchmarks and docs need besides

$(DEV_STAMP): $(STAMP) requirements/dev.lock
	@echo "setup: what tests, checks, benchmarks and docs need"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	@touch $@

.PHONY: demo
demo: setup  ## 29 customers, thousands of jobs, promised against delivered rates, live (25 s)
	@$(BIN)/python -m deploy.demo $(if $(CLUSTER),--cluster) $(ARGS)

.PHONY: example
example: setup  ## one of examples/, with a server of its own unless SHARQ_URL names one; without NAME the list
	@$(BIN)/python -m examples $(NAME) $(ARGS)

.PHONY: test
test: setup-dev  ## every test but the slow ones of deploy-check and chaos; FULL=1 adds variants, ARGS='-m "not slow"' is fast
	@FULL=$(FULL) $(BIN)/python -m pytest -n $(or $(WORKERS),6) --dist worksteal $(ARGS)

.PHONY: typescript
typescript: setup-dev  ## the TypeScript client: types, format, package, page, and its tests with the larger numbers
	@FULL=1 $(BIN)/python -m pytest -n $(or $(WORKERS),3) --dist worksteal $(ARGS) tests/clients/typescript

.PHONY: coverage
coverage: setup-dev  ## the tests that are not slow, with the lines of the product that none of them runs
	@$(BIN)/python -m pytest -n $(or $(WORKERS),3) --dist worksteal -m "not slow and not alone" --ignore=tests/chaos \
		--ignore=tests/deploy --cov --cov-report=term $(ARGS)

.PHONY: deploy-check
deploy-check: setup-dev $(TOOLS)/bin/helm $(TOOLS)/bin/actionlint  ## container, compose, chart, units, dashboards, alerts: with the real tools (6 min)
	@TOOLS_DIR=$(TOOLS) DEPLOY=1 $(BIN)/python -m pytest -n $(or $(WORKERS),3) --dist loadfile $(ARGS) tests/deploy

$(TOOLS)/bin/actionlint:
	@GOBIN=$(TOOLS)/bin $(GO) install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

$(TOOLS)/bin/helm:
	@echo 'helm $(HELM) is built once, in $(TOOLS) (about 5 min)'
	@GOBIN=$(TOOLS)/bin go install helm.sh/helm/v3/cmd/helm@$(HELM)

.PHONY: check
check: setup-dev  ## lint, format, types, the direction of imports, and the Lua
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/python -m tests.scheduler.lua_check

.PHONY: release
release: setup-dev $(TOOLS)/bin/helm  ## wheels, sdists, chart, SBOMs and checksums, checked, in OUT=dist; publishes nothing
	@TOOLS_DIR=$(TOOLS) $(BIN)/python -m deploy.release build --out $(or $(OUT),dist) $(if $(TAG),--tag $(TAG))
	@TOOLS_DIR=$(TOOLS) $(BIN)/python -m deploy.release check --out $(or $(OUT),dist)

.PHONY: sync-client
sync-client: setup-dev  ## write the sync client anew from the async one
	@$(BIN)/python clients/python/generate_sync.py

.PHONY: docs
docs: setup-dev  ## the documentation site, in build/docs; a dead link, a dead anchor or a page outside the menu fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "docs: build/docs/index.html; make docs-serve shows it"

.PHONY: docs-serve
docs-serve: setup-dev  ## the same while you write, at http://127.0.0.1:8001
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve --dev-addr 127.0.0.1:8001

.PHONY: docs-links
docs-links: setup-dev  ## ask every address of another host that the documentation names; needs the network
	@$(BIN)/python -m deploy.docs.links

.PHONY: format
format: setup-dev  ## sort imports, mend what ruff can mend, format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: bench
bench: setup-dev  ## the measurements that docs and targets quote
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(ARGS)

.PHONY: chaos
chaos: setup-dev $(TOXIPROXY)  ## failure tests: kills, pauses, bad networks, overload; writes no file without ARGS=--save
	@TOOLS_DIR=$(TOOLS) CHAOS=$(if $(QUICK),quick,full) $(BIN)/python -m pytest -n $(if $(QUICK),$(or $(WORKERS),4),0) --dist loadfile \
		tests/chaos $(ARGS)

$(TOXIPROXY):
	GOBIN=$(abspath $(@D)) $(GO) install github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0

.PHONY: lock
lock: $(UV)  ## pin the dependencies of pyproject.toml by name, version and hash; ARGS=--upgrade for newer ones
	$(COMPILE) pyproject.toml clients/python/pyproject.toml --all-extras --output-file requirements/dev.lock $(ARGS)
	$(COMPILE) pyproject.toml clients/python/pyproject.toml --constraint requirements/dev.lock --extra build --extra cli --extra demo \
		--extra embedded --output-file requirements/run.lock
	$(COMPILE) pyproject.toml --constraint requirements/dev.lock --extra embedded --output-file deploy/container/run.lock
	$(COMPILE) pyproject.toml --constraint requirements/dev.lock --extra build --output-file deploy/container/build.lock

$(UV):
	python3 -m venv --clear .tools/uv
	.tools/uv/bin/pip install --quiet uv

.PHONY: clean
clean:  ## remove what these targets made; the data of sharq-server stays
	rm -rf .coverage .coverage.* .venv .venvs .tools build dist clients/typescript/dist clients/typescript/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
