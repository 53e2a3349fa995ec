# The whole life of the project in a few verbs. Nothing is needed but Python 3.11 and make.
#
#   make demo    set up and run a synthetic week               make dev     the Dagster UI
#   make test    the test suite                               make check   lint, format, types, imports, docs
#   make crash   the tests that kill the program              make bench   the speed harness
#   make accept  write the goldens beside the samples         make docs    write the reference pages
#   make lock    write requirements.lock
#
# ARGS goes to what a verb runs:  make demo ARGS="--records 100000"   make test ARGS="-k gate"

PYTHON ?= python3
BIN := .venv/bin
HOME_DIR := .counterfoil
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
# Images often set it, and then every process compiles the project anew: 0.5 s of the 1.6 s in which the command starts.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help demo test check accept bench dev lock docs crash

help:
	@sed -n '3,9s/^# \{0,1\}//p' Makefile

demo: $(BIN)/.project
	@$(BIN)/counterfoil demo --home $(HOME_DIR) $(ARGS)

# Two workers share the cores, so in each of them Polars and DuckDB (which asks no other variable) compute on one thread:
# more would only wait for each other. Tests about threads say how many they want, and `make crash` leaves them all.
test: $(BIN)/.project
	@POLARS_MAX_THREADS=1 SLURM_CPUS_ON_NODE=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not crash" $(ARGS)

# At several times as many instants as the suite has time for.
crash: $(BIN)/.project
	@COUNTERFOIL_KILLS=60 COUNTERFOIL_INSTANTS=300 COUNTERFOIL_EVERY=4 COUNTERFOIL_FAIL_EVERY=1 \
		$(BIN)/python -m pytest tests/crash $(ARGS)

check: $(BIN)/.project
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python docs/generate.py --check

accept: $(BIN)/.project
	@$(BIN)/python -m parsers.accept $(ARGS)

bench: $(BIN)/.project
	@$(BIN)/python -m bench $(ARGS)

# Dagster keeps runs and schedules in its own home; the committed dagster.yaml is the only source of its settings.
dev: $(BIN)/.project
	@mkdir -p $(HOME_DIR)/dagster
	@cp dagster.yaml $(HOME_DIR)/dagster/dagster.yaml
	@DAGSTER_HOME="$(CURDIR)/$(HOME_DIR)/dagster" COUNTERFOIL_HOME="$(CURDIR)/$(HOME_DIR)" \
	  $(BIN)/dagster dev -w workspace.yaml $(ARGS)

docs: $(BIN)/.project
	@$(BIN)/python docs/generate.py

# Keeps what is locked as long as pyproject.toml allows it; `make lock ARGS=--upgrade` takes the newest.
lock: $(BIN)/.project
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-strip-extras --no-emit-index-url --no-header \
	  --extra dev --python-version 3.11 pyproject.toml --output-file requirements.lock $(ARGS)

# Two stamps: a changed lock makes the environment anew, so nothing stays that the lock no longer names; a changed
# pyproject.toml only links the project again.
$(BIN)/.locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "This needs Python 3.11 or newer; '$(PYTHON)' is not. Name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "'$(PYTHON)' cannot make virtual environments (on Debian: the package python3-venv)." >&2; exit 2; }
	@echo "Setting up .venv (once; a minute or two)" >&2
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(BIN)/.project: $(BIN)/.locked pyproject.toml
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
