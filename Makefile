# Every target makes what it needs; a second run installs nothing that is unchanged.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What was chosen once stays chosen.
TORCH ?= $(if $(wildcard $(VENV)/.installed-cpu),cpu,pypi)
# Which engines are tested; servers are fetched once into the user's cache folder (docs/servers.md).
ENGINES ?= embedded,opensearch,elasticsearch
# Three at a time, on two cores too: much of the suite waits for processes of its own. One file stays on one worker.
PYTEST ?= -n 3 --dist loadfile --max-worker-restart=1

.PHONY: help setup demo test servers lint types format docs bench lock clean

help:  ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed-$(TORCH)  ## make .venv with everything in it (TORCH=cpu: PyTorch's own CPU wheels, 4 GB smaller)

$(VENV)/.installed-$(TORCH): pyproject.toml requirements.lock scripts/setup.sh
	PYTHON=$(PYTHON) TORCH=$(TORCH) scripts/setup.sh $(VENV)
	@rm -f $(VENV)/.installed-* && touch $@

demo: setup  ## ingest a catalogue with pictures, embed it, serve the search page (CATALOG=path, ENGINE=opensearch)
	$(if $(ENGINE),scripts/install_servers.sh $(BIN)/python "$(ENGINE)")
	$(BIN)/hybrid-search demo $(if $(ENGINE),--engine "$(ENGINE)") $(if $(CATALOG),--catalog "$(CATALOG)") $(if $(ONCE),--once)

test: setup servers $(VENV)/.browser  ## the whole suite: units, contracts, real servers, a real browser (ENGINES=embedded: no servers)
	PYTHONHASHSEED=random HYBRID_SEARCH_TEST_ENGINES=$(ENGINES) $(BIN)/python -m pytest $(PYTEST)

servers: setup  ## fetch OpenSearch and Elasticsearch for tests and demo: 1.3 GB, once
	scripts/install_servers.sh $(BIN)/python $(ENGINES)

$(VENV)/.browser: scripts/install_browser.sh | setup
	scripts/install_browser.sh
	@touch $@

lint: setup  ## style, imports, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: setup  ## rewrite in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup  ## write the generated reference pages
	$(BIN)/python scripts/write_reference.py

bench: setup  ## every benchmark, one after the other (about an hour)
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; OMP_NUM_THREADS=1 $(BIN)/python $$file; done

lock: setup  ## refresh requirements.lock from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --upgrade --no-emit-index-url --generate-hashes -q -o requirements.lock

clean:  ## forget the environment and the demo's data
	rm -rf $(VENV) var
