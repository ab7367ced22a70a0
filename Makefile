# make demo | test | check | mutate | lingbot | lock | clean; each does all the set-up it needs, and little the second time.
# A fresh Debian 12 machine with Python 3.11 needs nothing else than make. Two things are installed: Debian's packages, by
# sudo where we are not root and not without saying first what and where from (install/system.sh; NO_SYSTEM=1 leaves the
# system alone and says what it lacks); and Python's, in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install -q
# An index with the torch build you want, e.g. a CPU one; empty: pip's own choice.
TORCH_INDEX ?=
UV ?= uv
export NO_SYSTEM ?=

# LIBERO's assets beside the checkout, where they happen to be; a value of your own comes first.
export LIBERO_ASSETS ?= $(wildcard $(CURDIR)/../shared/libero-assets)

.PHONY: demo test check mutate setup system browser lingbot lock clean

demo: lingbot
	@$(BIN)/python examples/demo.py

test: system browser lingbot
	$(BIN)/python -m pytest

check: lingbot
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

mutate: lingbot
	$(BIN)/python -m benchmarks.mutate

setup: system $(VENV)/.set-up

system:
	@PYTHON=$(PYTHON) install/system.sh pictures

browser:
	@install/system.sh browser

# The locks are for the Pythons they were resolved for, on Linux; others take what pyproject.toml's bounds allow.
LOCKED := $(shell $(PYTHON) -c 'import sys; print("yes" * (sys.platform == "linux" and sys.version_info[:2] in [(3, 11), (3, 12)]))')

# Whatever runs at installation has a hash: what builds comes first, and nothing is fetched beside the locks. The lock is
# complete, so pip resolves nothing (--no-deps).
$(VENV)/.set-up: pyproject.toml $(wildcard install/*.lock) requirements-libero.txt requirements-sapien.txt
	$(PYTHON) -m venv $(VENV)
ifeq ($(LOCKED),yes)
	@echo "Into $(VENV), from the index that pip is set to: all of install/packages.lock, each file by its hash"
	@$(PIP) --require-hashes --no-deps -r install/build.lock
	@$(PIP) --require-hashes --no-deps --no-build-isolation --use-pep517 -r install/packages.lock
	@$(PIP) --no-deps --no-build-isolation -e .
else
	@echo "No lock for this Python or system (3.11 and 3.12 on Linux have one): by pyproject.toml's bounds, without hashes"
	@$(PIP) -e '.[libero,tabletop,export,ray,dev]'
	@$(PIP) --no-deps -r requirements-libero.txt -r requirements-sapien.txt
endif
	@touch $@

# LingBot-VA needs torch, and with it the demo, its tests and its types. Which build is the user's choice, and with it the
# hash: torch has a version (constraints.txt), and what else it needs is there already, but for its CUDA libraries.
lingbot: setup $(VENV)/.lingbot

$(VENV)/.lingbot: $(VENV)/.set-up constraints.txt
	@echo "Into $(VENV): torch, from $(or $(strip $(TORCH_INDEX)),the index that pip is set to)"
	@$(PIP) -c constraints.txt torch $(if $(strip $(TORCH_INDEX)),--index-url $(strip $(TORCH_INDEX)))
ifneq ($(LOCKED),yes)
	@$(PIP) -e '.[lingbot,train]'
endif
	@touch $@

# constraints.txt: every version that pyproject.toml's bounds and requirements-*.txt allow together, kept where it can be;
# `make lock UPGRADE=1` takes the newest. The locks are the same with hashes. (pip install uv; install/pyproject.toml.)
COMPILE := $(UV) pip compile -q --universal --python-version 3.10 --no-header --no-annotate --no-emit-index-url
lock:
	cd install && $(COMPILE) $(if $(UPGRADE),--upgrade) --all-extras --group build \
	  ../pyproject.toml ../requirements-libero.txt ../requirements-sapien.txt -o ../constraints.txt >/dev/null
	cd install && $(COMPILE) --generate-hashes --no-deps --no-emit-package torch ../constraints.txt -o packages.lock >/dev/null
	cd install && $(COMPILE) --generate-hashes -c ../constraints.txt --group build -o build.lock >/dev/null
	sed -i '1i # Written by make lock: what was tried together on Python 3.11 and 3.12. pip install -c constraints.txt ...' constraints.txt

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
