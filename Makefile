# Every target does its own set-up: a virtual environment in .venv, pinned packages, the compiled codec.
# It needs Python 3.11 or later (PYTHON=python3.12 names another one), and neither a compiler nor root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo up down test check bench fuzz arm64 codec clean help

help:
	@echo "make demo   encode a clip, VIDEO=file or one made for it, beside plain libvpx and plain chunks"
	@echo "make up     run the deployed stack on this machine, and say how to call it; make down ends it"
	@echo "make test   run every test"
	@echo "make check  lint, formatting, types, layers of the house"
	@echo "make fuzz   look for inputs that break the codec, a minute for each kind (SECONDS=60)"
	@echo "make arm64  run the test vectors on the codec built for arm64, with QEMU"
	@echo "make bench  measure speed and compression beside libvpx"
	@echo "make clean  remove everything that was made"

demo: codec
	$(BIN)/python -m bench.demo $(if $(VIDEO),"$(VIDEO)")

up: codec
	$(BIN)/fastslow local up

down: $(READY)
	$(BIN)/fastslow local down

test: codec
	$(BIN)/python -m pytest -n logical --dist worksteal

check: codec
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_house.py

bench: codec
	$(BIN)/python -m bench

SECONDS ?= 60
fuzz: $(READY)
	$(BIN)/python -m pip install --quiet 'atheris>=3'
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

arm64: $(READY)
	tests/arm64.sh
	@$(MAKE) --no-print-directory codec
	FASTSLOW_ARM64_FRAMES=0 $(BIN)/python -m pytest -rs -s tests/codec/test_arm64.py

# Builds only what changed, so it is asked each time; for arm64 too where there is what runs that.
codec: $(READY)
	@$(BIN)/python codec/build.py
	@test ! -d build/arm64/root || $(BIN)/python codec/build.py --target aarch64

$(READY): pyproject.toml constraints.txt setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fastslow needs Python 3.11 or later: make PYTHON=...")'
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools Cython ziglang
	# A Python without Python.h borrows that of another one, which needs no root.
	$(BIN)/python codec/build.py --headers >/dev/null 2>&1 || \
		{ $(BIN)/pip install --quiet --constraint constraints.txt uv && $(BIN)/uv python install 3.13; } || true
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[aws,deploy,dev,mu]'
	touch $@

clean:
	@test ! -e build/local/state.json || $(BIN)/fastslow local down
	rm -rf $(VENV) build dist *.egg-info codec/_compiled .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -exec rm -rf {} +
