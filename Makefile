# Two commands for everyone: `make demo` and `make test`. Needed beforehand: git, make and Python >= 3.11.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA := examples/data

# numba sees changes in a kernel's own file only, so its cache is keyed by a digest of all sources
export NUMBA_CACHE_DIR := $(shell $(PYTHON) .dev/cache_dir.py)

.PHONY: demo test check quick bench guard evidence clean

demo: $(VENV)/.demo ## play the cold-start allocator over two real logs, and policies in an hour of a simulated market
	$(BIN)/seedbed replay $(DATA)/open-bandit-random-all.csv.gz --population $(DATA)/open-bandit-counts-women.csv \
		--budget 6000 --tick-exposures 200 --set quota_min=50 --set quota_base=50 --set quota_max=50 \
		--set verify_cap=100 --set extension=20 --set tick_cap=20 --out replay-rows --force
	$(BIN)/seedbed replay $(DATA)/open-bandit-counts-all.csv --population $(DATA)/open-bandit-counts-women.csv \
		--budget 300000 --seeds 20 --out replay-counts --force
	$(BIN)/seedbed simulate --minutes 60 --rooms 8000 --replicates 3 --jobs 2 --policy M --policy A --policy B \
		--policy uniform --policy pools --policy eb-thompson --out simulation --force

test: check ## format, lint, types, layers, then all tests with doctests, README and examples
	$(BIN)/pytest

check: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

quick: $(VENV)/.test ## the fast part of the suite
	$(BIN)/pytest -m "not slow"

guard: $(VENV)/.test ## fail when updating or choosing has become slow
	$(BIN)/python benchmarks/guard.py

bench: $(VENV)/.bench ## measure beside peers and limits; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/results.py
	$(BIN)/pytest benchmarks -W default --benchmark-enable --benchmark-group-by=group \
		--benchmark-columns=min,median,rounds --benchmark-sort=min

evidence: $(VENV)/.test ## the long experiments; writes benchmarks/EVIDENCE.md
	$(BIN)/python benchmarks/evidence.py

clean:
	rm -rf $(VENV) .cache build dist replay-rows replay-counts simulation *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo $(VENV)/.test $(VENV)/.bench: $(VENV)/.%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@
