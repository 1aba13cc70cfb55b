# Needs git, make and python3.11; everything else is put into .venv by the first call.
PYTHON ?= python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check install -c constraints.txt
INPUTS := pyproject.toml constraints.txt
WORKERS ?= 2

.PHONY: demo test check bench clean

demo: .venv/installed-demo
	$(BIN)/leanformer demo $(ARGS)

test: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

check: .venv/installed-dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check --quiet src tests benchmarks
	$(BIN)/mypy
	$(BIN)/pydoclint --quiet src

bench: .venv/installed-demo
	$(BIN)/python benchmarks/ae_bert.py $(ARGS)

clean:
	rm -rf .venv

# torch comes first and pinned, so that no other requirement pulls a CUDA build of several gigabytes.
.venv/torch: $(INPUTS)
	@echo "installing into .venv: a few minutes, once"
	$(PYTHON) -m venv .venv
	$(PIP) torch
	@touch $@

.venv/installed-demo: .venv/torch
	$(PIP) -e ".[demo]"
	@touch $@

.venv/installed-dev: .venv/torch
	$(PIP) -e ".[dev]"
	@touch $@ .venv/installed-demo
