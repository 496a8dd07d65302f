# Two commands do all the set-up: `make demo` and `make test`. Both need Python 3.11 or newer and make.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

# What must hold on the oldest transformers too.
COMPAT := tests/model_gate/test_tiny.py tests/model_gate/test_sequence.py tests/model_gate/test_bugs_met.py tests/model_gate/test_gated_model.py

# Compiled modules are kept, as people have it: tests start many hundred processes.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test check unit compat llama soak bench format clean

help:  ## Show what can be made
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with make PYTHON=..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.corpus: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[corpus,gate,service]'
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.corpus

demo: $(VENV)/.corpus  ## Rebuild the built-in sample and show what happened
	@$(BIN)/lethe demo --out demo-out

test: check unit  ## Run all checks and tests

check: $(VENV)/.dev  ## Linters, types, arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The registry's database waits for the disk at each write: its files lie in memory where there is room.
TEMPORARY := $(shell test "$$(df -k --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 8000000 2>/dev/null && \
	echo PYTEST_DEBUG_TEMPROOT=/dev/shm)

# One more than processors, up to five: many tests wait for servers, processes and the disk.
WORKERS := $(shell n=$$(nproc 2>/dev/null || echo 2); test $$n -gt 4 && echo 5 || echo $$((n + 1)))

# Threads of numpy's linear algebra cost each of many hundred processes a tenth of a second, and none has a use for them.
unit: $(VENV)/.dev  ## Tests, several files at a time
	$(TEMPORARY) OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not soak' -n $(WORKERS) --dist loadfile --no-loadscope-reorder

$(VENV)-compat/.made: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)-compat
	grep -vE '^(transformers|tokenizers|huggingface_hub)==' constraints.txt > $(VENV)-compat/constraints.txt
	$(VENV)-compat/bin/python -m pip --disable-pip-version-check -q install -c $(VENV)-compat/constraints.txt \
		'transformers==4.56.2' -e '.[gate]' pytest hypothesis openai psutil pyarrow
	@touch $@

compat: $(VENV)-compat/.made  ## The gate with the oldest transformers that it supports, in an environment of its own
	$(VENV)-compat/bin/python -m pytest -q -p no:cacheprovider $(COMPAT)

llama: $(VENV)-llama/.server  ## llama.cpp's server, built from source, for the test that stands before it

$(VENV)-llama/.server:
	$(PYTHON) -m venv $(VENV)-llama
	$(VENV)-llama/bin/python -m pip --disable-pip-version-check -q install 'llama-cpp-python[server]' gguf
	@touch $@

soak: $(VENV)/.dev  ## Long tests; LETHE_SOAK=1 is their full length, CI runs a part of it
	LETHE_SOAK=$${LETHE_SOAK:-1} $(BIN)/python -m pytest -m soak -rP

bench: $(VENV)/.dev  ## Measurements, printed as ratios
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/matching.py
	$(BIN)/python benchmarks/costs.py
	$(BIN)/python benchmarks/registry.py
	$(BIN)/python benchmarks/registry.py --rate 200 --compile
	$(BIN)/python benchmarks/scores.py
	$(BIN)/python benchmarks/gate.py

format: $(VENV)/.dev  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## Remove what was made
	rm -rf $(VENV) $(VENV)-compat $(VENV)-llama demo-out soak-out bench-out .mypy_cache .ruff_cache .pytest_cache .hypothesis
