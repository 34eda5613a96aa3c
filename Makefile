# `make` lists the targets; `make setup` is the only one that needs the network.
PYTHON ?= python3
EXTRAS ?= cpu,dev
VENV := .venv
BIN := $(VENV)/bin
comma := ,
STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

VIEWERS := build/viewers
VIEWER := $(shell sed -n 's/.*"viewer": *"\([^"]*\)".*/\1/p' tests/viewers/package.json)

.DEFAULT_GOAL := help
.PHONY: help setup setup-train viewers s3 demo test check quick bench lock

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## build .venv with the service (Python >= 3.11)

setup-train: ## add what training needs (torch: about 6 GB)
	@$(MAKE) --no-print-directory setup EXTRAS=cpu,dev,train

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make setup PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

viewers: ## fetch OHIF from npm for the browser tests (50 MB)
	@mkdir -p $(VIEWERS)
	@test -f '$(VIEWERS)/$(notdir $(VIEWER)).fetched' || { \
		npm pack --silent --pack-destination $(VIEWERS) '$(VIEWER)' && \
		tar --extract --gzip --file $(VIEWERS)/ohif-app-*.tgz --directory $(VIEWERS) && \
		rm $(VIEWERS)/ohif-app-*.tgz && touch '$(VIEWERS)/$(notdir $(VIEWER)).fetched'; }

s3: ## fetch an S3 server from npm for the archive's tests (14 MB)
	@mkdir -p build/s3 && cp tests/archive/package.json tests/archive/package-lock.json build/s3
	@npm ci --silent --ignore-scripts --no-audit --no-fund --prefix build/s3

demo: setup ## a whole hospital on loopback; IMAGE=path adds your own radiographs
	$(BIN)/dicom-node demo $(IMAGE)

test: setup ## all tests; what a missing tool skips is named with its reason
	$(BIN)/python -m pytest

quick: setup ## rules and story only, in seconds
	$(BIN)/python -m pytest -q tests/domain tests/flow

check: setup ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup ## turnaround, echo, three results to a PACS; prints a table
	$(BIN)/python -m tests.bench

lock: ## write constraints.txt from what .venv holds
	$(BIN)/pip freeze --exclude-editable | grep -v '^#' > constraints.txt
