# Each verb starts from a bare checkout on a machine with Python >= 3.11, make and the package
# registries, and does what is needed first. CONTRIBUTING.md says what they are for.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.PHONY: help demo test check bench soak peers lint types contracts unit others all-tests

BIN := .venv/bin
READY := .venv/.stamp
# Many tests wait for a program or for a clock of its own: more workers than cores pay.
PYTEST := $(BIN)/python -m pytest -q -n 4 --dist worksteal
# What the bench measures beside us has a place of its own, so that no test can come to need it.
LIBRARIES := .venv-bench/.stamp
MITMPROXY := .venv-mitmproxy/.stamp

help:
	@echo "make demo   a cluster in a box, with a forward into it; Ctrl-C ends it"
	@echo "make test   everything that must pass: lint, types, contracts, all tests (what CI runs)"
	@echo "make check  the same in about a minute: unit tests only, on one Python"
	@echo "make bench  us and our peers side by side; writes docs/performance.md"
	@echo "make soak   the long tests"

demo: $(READY)
	@$(BIN)/ferry demo

test: $(READY) peers lint types contracts others all-tests

check: $(READY) lint types contracts unit

bench: $(READY) $(LIBRARIES) $(MITMPROXY) peers
	@$(BIN)/python -m bench $(BENCH)

soak: $(READY) peers
	@echo "==> soak tests, and every property on many more examples"
	@HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -m "soak or hypothesis" --timeout=1200

$(READY): EXTRA := dev
$(LIBRARIES): EXTRA := bench
$(MITMPROXY): EXTRA := mitmproxy
$(READY) $(LIBRARIES) $(MITMPROXY): pyproject.toml tools/make-venv tools/python
	@python=$$(tools/python) || { echo "Ferryman needs Python 3.11 or newer" >&2; exit 1; }; \
	tools/make-venv $(@D) "$$python" $(EXTRA)

peers:
	@tools/install-peers

lint: $(READY)
	@echo "==> lint"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(READY)
	@echo "==> types"
	@$(BIN)/mypy

contracts: $(READY)
	@echo "==> import contracts"
	@$(BIN)/lint-imports

unit: $(READY)
	@echo "==> unit tests"
	@$(PYTEST) -m "not peer and not soak"

others: $(READY)
	@tools/test-other-pythons

all-tests: $(READY)
	@echo "==> all tests, with real peers, on $$($(BIN)/python --version)"
	@$(PYTEST) -m "not soak" --durations=15
