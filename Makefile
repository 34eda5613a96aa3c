# `make` lists the targets. `make setup`, `viewers`, `lock`, `audit`, `sbom` and `wheel` need the network.
# LOCKED=yes: `setup` installs the service for the CPU by the hashes of locks/ first.
PYTHON ?= python3
EXTRAS ?= cpu,dev
VENV := .venv
BIN := $(VENV)/bin
comma := ,
STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

VIEWERS := build/viewers
PAGE := $(VIEWERS)/cornerstone
VIEWER := $(shell sed -n 's/.*"viewer": *"\([^"]*\)".*/\1/p' tests/peers/viewers/package.json)

VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' dicom_node/__init__.py)

.DEFAULT_GOAL := help
TOOLS := build/tools
LOCK := $(TOOLS)/bin/uv pip compile --quiet --native-tls --generate-hashes --universal --python-version 3.11 \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

.PHONY: help setup setup-train viewers s3 demo test check quick docs reference pictures fuzz bench constraints lock audit sbom wheel torture soak

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## build .venv with the service (Python >= 3.11)

setup-train: ## add what training needs (torch: about 6 GB)
	@$(MAKE) --no-print-directory setup EXTRAS=cpu,dev,train

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make setup PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifdef LOCKED
	$(BIN)/pip install --quiet --require-hashes --requirement locks/cpu.txt
endif
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

viewers: $(PAGE)/dist/page.js ## fetch OHIF and cornerstone3D from npm for the browser tests (75 MB)
	@mkdir -p $(VIEWERS)
	@test -f '$(VIEWERS)/$(notdir $(VIEWER)).fetched' || { \
		npm pack --silent --pack-destination $(VIEWERS) '$(VIEWER)' && \
		tar --extract --gzip --file $(VIEWERS)/ohif-app-*.tgz --directory $(VIEWERS) && \
		rm $(VIEWERS)/ohif-app-*.tgz && touch '$(VIEWERS)/$(notdir $(VIEWER)).fetched'; }

$(PAGE)/dist/page.js: $(wildcard tests/peers/viewers/cornerstone/*)
	@mkdir -p $(PAGE) && cp $^ $(PAGE)
	@npm ci --loglevel=error --ignore-scripts --no-audit --no-fund --prefix $(PAGE)
	@npm run --silent build --prefix $(PAGE)

s3: ## fetch an S3 server from npm for the archive's tests (14 MB)
	@mkdir -p build/s3 && cp tests/support/s3/package.json tests/support/s3/package-lock.json build/s3
	@npm ci --silent --ignore-scripts --no-audit --no-fund --prefix build/s3

demo: setup ## a whole hospital on loopback; IMAGE=path adds your own radiographs
	$(BIN)/dicom-node demo $(IMAGE)

test: setup ## all tests; what a missing tool skips is named with its reason
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

quick: setup ## the tests of each package by itself, without peers, in seconds
	$(BIN)/python -m pytest -q -n 2 -m 'not postgres' tests/unit

check: setup ## format, lint, types, import contracts, security
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive dicom_node pipelines

docs: setup ## build the documents as a site into build/site, every warning an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

reference: setup ## write docs/reference/ from the code
	$(BIN)/python -m docs.scripts.reference

pictures: setup ## make the pictures of the documents from phantoms
	$(BIN)/python -m docs.scripts.pictures

fuzz: setup ## look for crashes, guided by coverage, for MINUTES=10
	$(BIN)/pip install --quiet --constraint constraints.txt atheris
	$(BIN)/python -m tests.abuse.fuzz.guided --seconds $$(( $(or $(MINUTES),10) * 60 / 8 ))

bench: setup ## turnaround, echo, three results to a PACS, ingest beside storescp; prints tables
	$(BIN)/python -m tests.bench

$(TOOLS)/.installed: locks/tools.txt
	@test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --require-hashes --requirement locks/tools.txt
	@touch $@

constraints: ## write constraints.txt from what .venv holds (with EXTRAS=cpu,dev,train)
	$(BIN)/pip freeze --exclude-editable | grep -v '^#' > constraints.txt

lock: $(TOOLS)/.installed ## write locks/ from pyproject.toml and constraints.txt, with hashes
	$(LOCK) -c constraints.txt --extra cpu --extra build -o locks/cpu.txt pyproject.toml
	$(LOCK) -c constraints.txt --extra gpu --extra build -o locks/gpu.txt pyproject.toml
	$(LOCK) -o locks/tools.txt locks/tools.in

audit: $(TOOLS)/.installed ## look for known vulnerabilities in locks/
	@for which in cpu gpu; do \
		rm -f build/audit-$$which.json; echo "locks/$$which.txt:"; \
		$(TOOLS)/bin/pip-audit --disable-pip --require-hashes -r locks/$$which.txt \
			--progress-spinner off --format json -o build/audit-$$which.json 2> build/audit.log; \
		found=$$?; \
		if ! test -s build/audit-$$which.json; then \
			tail -n 1 build/audit.log; echo "NOT AUDITED: the advisories are not reachable"; \
		else cat build/audit.log; test $$found = 0 || exit 1; fi; \
	done

sbom: $(TOOLS)/.installed ## write what goes into an installation as CycloneDX, to build/
	@sed 's/^dynamic = .*/version = "$(VERSION)"/' pyproject.toml > build/bill.toml
	@for which in cpu gpu; do \
		PYTHONWARNINGS=ignore $(TOOLS)/bin/cyclonedx-py requirements \
			--pyproject build/bill.toml --mc-type application --spec-version 1.6 --output-reproducible \
			--output-format JSON --output-file build/sbom-$$which.cdx.json locks/$$which.txt && \
		echo "build/sbom-$$which.cdx.json"; \
	done

wheel: $(TOOLS)/.installed ## build what `pip install` takes, to build/dist/
	@rm -rf build/dist
	$(TOOLS)/bin/pip wheel --quiet --no-deps --wheel-dir build/dist .
	@ls -sh1 build/dist

torture: setup ## kill, refuse, damage at random and count what was lost; ONLY=name MINUTES=1
	$(BIN)/python -m tests.abuse.torture --minutes $(or $(MINUTES),1) $(if $(ONLY),--only $(ONLY)) $(WRITE)

soak: setup ## 5 images/s for MINUTES=30; prints memory and file handles of every role
	$(BIN)/python -m tests.abuse.torture.soak --minutes $(or $(MINUTES),30)
