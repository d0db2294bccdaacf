# Needs make and Python 3.11 or newer; everything else goes into .venv.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help run install check test docs bench bench-gateway bench-experts model

PORT ?= 8080
PYTHON ?= python3.13 python3.12 python3.11 python3 python
BIN := .venv/bin

help:
	@echo "make run      start the gateway on 127.0.0.1:$(PORT), installing it first (PORT=9000 changes the port)"
	@echo "make install  set up .venv with all that developing needs"
	@echo "make check    ruff and mypy"
	@echo "make test     check, then every test"
	@echo "make docs     run the code in README.md, CONTRIBUTING.md and docs/"
	@echo "make bench    time one decision and the start, and make docs/results.md again (DATA=folder: on public tables too)"
	@echo "make bench-gateway  what a request costs through Waypost and other gateways, and make docs/speed.md again (QUICK=1: minutes, JSON=1: rows)"
	@echo "make bench-experts  the ways to compute a mixture of experts, and make docs/experts-speed.md again (QUICK=1, JSON=1 as above)"

run: .venv/.local model
	@exec $(BIN)/waypost serve --port $(PORT)

install: .venv/.dev model

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check model
	$(BIN)/python -m pytest -n 2 --dist worksteal

docs: .venv/.dev model
	$(BIN)/python -m pytest tests/test_docs.py

bench: .venv/.dev
	$(BIN)/python benchmarks/decision.py --quick
	$(BIN)/python benchmarks/startup.py --quick
	$(BIN)/python benchmarks/results.py $(if $(DATA),--data $(DATA))

# What is installed on the way is told on stderr, so that with JSON=1 stdout has nothing but rows.
bench-gateway:
	@$(MAKE) --silent .venv/.local >&2
	@$(BIN)/python benchmarks/gateway/run.py $(if $(QUICK),--quick) $(if $(JSON),--json)

bench-experts:
	@$(MAKE) --silent .venv/.dev >&2
	@$(BIN)/python benchmarks/experts/run.py $(if $(QUICK),--quick) $(if $(JSON),--json)

# Each stamp is written last, so a step that was interrupted is done again.
.venv/.made:
	@for python in $(PYTHON); do \
	  version=$$($$python -V 2>&1) || continue; \
	  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { old="$${version#Python }"; continue; }; \
	  $$python -c 'import ensurepip, venv' 2>/dev/null || { bare="$$version"; continue; }; \
	  echo "Making .venv with $$version"; \
	  $$python -m venv .venv && touch $@; exit; \
	done; \
	if [ -n "$$bare" ]; then echo "$$bare has no venv module; install it (on Debian and Ubuntu: apt install python3-venv)"; \
	else echo "Waypost needs Python 3.11 or newer, found $${old:-none}; name one with make PYTHON=/path/to/python3"; fi >&2; \
	exit 1

# Shows one line a package, so that a long download is seen to move; what goes wrong comes through on stderr.
define install
@echo "$(1)"; set -o pipefail; \
$(BIN)/python -m pip install --disable-pip-version-check $(2) | while read -r line; do \
  case "$$line" in \
    Downloading*.whl\ \(* | "Using cached "*.whl\ \(*) \
      file="$${line#Downloading }"; file="$${file#Using cached }"; echo "  $${file%%-*} ($${line##*\(}" ;; \
    Installing\ collected*) echo "Unpacking them" ;; \
  esac; \
done
@touch $@
endef

.venv/.local: .venv/.made pyproject.toml
	$(call install,Installing Waypost and its packages (about 350 MB; a minute or two the first time),--editable ".[local]")

# The build of torch for processors: the usual one for Linux brings gigabytes of CUDA. Where its index cannot be reached,
# pip goes on with what it finds elsewhere; TORCH="torch" takes the usual build.
TORCH ?= torch==2.13.0 --retries 1 --extra-index-url https://download.pytorch.org/whl/cpu

.venv/.torch: .venv/.local
	$(call install,Installing torch (about 190 MB),$(TORCH))

.venv/.dev: .venv/.torch
	$(call install,Installing the tools for developing,--editable ".[$(subst $(space),$(comma),$(EXTRAS))]")

# Does nothing when the model is there.
model: .venv/.local
	@$(BIN)/waypost models add smollm2-135m

EXTRAS := dev local report train encoders index postgres redis
comma := ,
space := $(subst ,, )
