# Everything a newcomer needs: `make demo` and `make test` work on a bare machine with Python >= 3.11 and pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2

.PHONY: demo test deep docs bench bench-gpu bench-scale lint types clean

demo: $(VENV)/installed
	$(BIN)/rankfloor demo

test: $(VENV)/installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

deep: $(VENV)/installed-test
	RANKFLOOR_PROFILE=deep OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

bench: $(VENV)/installed-peers
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.run --jobs $(JOBS)

bench-gpu: $(VENV)/installed
	OMP_NUM_THREADS=2 $(BIN)/python -m tests.bench.gpu

bench-scale: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.scale

docs: $(VENV)/installed-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

lint: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/installed-test
	$(BIN)/mypy

$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

$(VENV)/installed-peers: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[peers]"
	touch $@

clean:
	rm -rf $(VENV) runs site .pytest_cache .mypy_cache .ruff_cache .hypothesis
