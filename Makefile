# Everything a newcomer needs: `make demo` to see it work, `make test` and `make lint` before a change is handed in.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
READY := $(VENV)/.ready
# Most of a test's time is a process that starts or waits.
TEST_PROCESSES ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format crawl bench bench-refresh bench-fleet bench-sources bench-embedding bench-reembed bench-search bench-text constraints clean

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## Build .venv with everything pinned in constraints.txt

# The stamp is written last: a set-up that was cut short is done again, and one that is current costs nothing.
$(READY): pyproject.toml constraints.txt setup.py
	@command -v $(PYTHON) >/dev/null || { \
		echo "Python 3.11 or newer is needed, and '$(PYTHON)' was not found. Install it, or name it: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' has no venv module. On Debian and Ubuntu it is in the package python3-venv." >&2; exit 1; }
	@rm -f $@
	@$(PIP) list >/dev/null 2>&1 || { echo "Creating $(VENV) with $$($(PYTHON) -V)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "Installing the packages pinned in constraints.txt (about a minute the first time)"
	@$(PIP) install -qq --constraint constraints.txt --editable '.[dev]'
	@touch $@
	@echo "Ready: $(BIN)/scrapy"

demo: setup ## Crawl a local site that changes between two refreshes, and show what each one cost
	@$(BIN)/scrapy demo

test: setup ## Run all tests; choose some with ARGS='tests/unit -k name', one process with TEST_PROCESSES=0
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal $(ARGS)

lint: setup ## Check style, types and SQL
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/sqlfluff lint --disable-progress-bar db

format: setup ## Repair what can be repaired without thinking
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

crawl: setup ## Crawl one site into the index: make crawl URL=https://example.org
	@test -n "$$URL" || { echo "Say which site: make crawl URL=https://example.org" >&2; exit 2; }
	@$(BIN)/scrapy crawl website -a "url=$$URL"

bench: setup ## Measure a crawl and its refreshes against plain Scrapy
	@$(BIN)/python -m benchmarks.crawl

bench-refresh: setup ## Refresh a site that edits, breaks, lies and comes back, and hold the index against its truth
	@$(BIN)/python -m benchmarks.refresh $(ARGS)

bench-fleet: setup ## Crawl 120 sites in one refresh, against a process for each, and with killed workers
	@$(BIN)/python -m benchmarks.fleet $(ARGS)

bench-sources: setup ## Measure how one source starts among ten and among a hundred thousand
	@$(BIN)/python -m benchmarks.many_sources $(ARGS)

bench-embedding: setup ## Measure what embedding costs beside the provider: limits, memory, speed
	@$(BIN)/python -m benchmarks.embedding $(ARGS)

bench-reembed: setup ## Move an index of 100,000 chunks to another chunk size, while it is searched
	@$(BIN)/python -m benchmarks.reembed $(ARGS)

bench-search: setup ## Measure how well and how fast pages are found, by vector, by text and by both
	@$(BIN)/python -m benchmarks.search $(ARGS)

bench-text: setup ## Measure what extraction keeps of pages whose text is known, beside other extractors
	@$(BIN)/python -m benchmarks.text $(ARGS)

constraints: ## Resolve the newest versions pyproject.toml allows, and pin them in constraints.txt
	@echo "Resolving with $$($(PYTHON) -V) (a few minutes)"
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && $(PYTHON) -m venv "$$work" \
		&& "$$work/bin/python" -m pip --disable-pip-version-check install -qq --editable '.[dev]' \
		&& grep '^#' constraints.txt >"$$work/constraints" \
		&& "$$work/bin/python" -m pip freeze --all --exclude pip --exclude-editable >>"$$work/constraints" \
		&& cp "$$work/constraints" constraints.txt

clean: ## Remove the virtual environment, caches and builds; crawled data in .lcl stays
	@rm -rf $(VENV) build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
