# Everything is one command away: `make help` lists the targets.
# Each target that needs an environment creates it first; PYTHON chooses its interpreter (3.11 or newer).

PYTHON  ?= $(shell command -v python3.11 || command -v python3)
# Processes that run the tests.
WORKERS ?= 2
# Name of the folders under runs/ and results/ that `make train` fills; choose a new one for each run.
RUN     ?= quick
# The torch that `make constraints` locks.
TORCH   ?= 2.13.0

VENV      := .venv
ZOO_VENV  := .venv-zoo
DOCS_VENV := .venv-docs
LOCK_VENV := .venv-lock
BIN       := $(VENV)/bin
READY     := $(VENV)/.installed
ZOO_READY := $(ZOO_VENV)/.installed
DOCS_READY := $(DOCS_VENV)/.installed
PIP       := python -m pip --disable-pip-version-check -qq
PYTEST    := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal --timeout 300
CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(\
	"Python " + sys.version.split()[0] + " is too old; choose 3.11 or newer, e.g. make PYTHON=python3.12 install")'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[.a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: $(READY)  ## create .venv with the locked versions and the development tools

.PHONY: compile
compile: $(READY)  ## compile the kernels, which takes minutes the first time and seconds afterwards
	$(BIN)/python -m dnnmig_env compile

# Python keeps the bytecode of all modules, tests among them: each of a hundred processes would compile them anew.
test test-slow: export PYTHONDONTWRITEBYTECODE :=

.PHONY: test
test: compile  ## run the fast tests
	$(PYTEST) -m "not slow"

.PHONY: test-slow
test-slow: compile  ## run the long tests
	$(PYTEST) -m slow --timeout 1800

.PHONY: lint
lint: $(READY)  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(READY)  ## check the types, strictly
	$(BIN)/mypy

.PHONY: contracts
contracts: $(READY)  ## check who may import whom
	$(BIN)/lint-imports

.PHONY: check
check: lint types contracts test  ## run every check but the long tests

.PHONY: train
train: $(READY)  ## train for some minutes, then compare with baselines; again with RUN=another-name
	$(BIN)/python -m train --preset quick --out runs/$(RUN)
	$(BIN)/python -m evaluate --family multi-user --scenarios 50 --seed 1 \
		--policies device-only,random,pso-ga+lmu,joint-efficiency,runs/$(RUN) --workers 2 --out results/$(RUN)

.PHONY: zoo
zoo: $(ZOO_READY)  ## trace the zoo's networks again, in an environment of its own
	$(ZOO_VENV)/bin/python -m dnnmig_env zoo

.PHONY: docs
docs: $(READY) $(DOCS_READY)  ## build the pages of docs/ as a site that opens from disk: site/index.html
	$(BIN)/python docs/write_reference.py
	$(DOCS_VENV)/bin/zensical build --strict
	@echo "Open site/index.html"

.PHONY: constraints
constraints:  ## resolve the dependencies afresh and lock them in constraints.txt
	$(PYTHON) -m venv --clear $(LOCK_VENV)
	$(LOCK_VENV)/bin/$(PIP) install torch==$(TORCH) -e '.[dev]'
	@echo '# Locked versions for Python 3.11 or newer, made by `make constraints`; use with `pip install -c constraints.txt`.' > constraints.tmp
	@echo '# Left out: the GPU libraries, which differ between machines and follow from torch.' >> constraints.tmp
	$(LOCK_VENV)/bin/$(PIP) freeze --exclude-editable > $(LOCK_VENV)/frozen.txt
	sed -e 's/+.*//' -e '/^nvidia-/d' -e '/^cuda-/d' -e '/^triton==/d' $(LOCK_VENV)/frozen.txt >> constraints.tmp
	mv constraints.tmp constraints.txt
	rm -rf $(LOCK_VENV)

.PHONY: clean
clean:  ## remove environments and caches; keeps runs/ and results/
	rm -rf $(VENV) $(ZOO_VENV) $(DOCS_VENV) $(LOCK_VENV) build dist site .cache *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: $(VENV)
$(VENV): $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "Installing into $(VENV): some minutes the first time, more where torch brings its GPU libraries."
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP) install --log $(VENV)/install.log -c constraints.txt -e '.[dev]' \
		|| { echo "The installation failed; $(VENV)/install.log says why." >&2; exit 1; }
	@touch $@

$(ZOO_READY): pyproject.toml
	@echo "Installing into $(ZOO_VENV): some minutes the first time."
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(ZOO_VENV)
	$(ZOO_VENV)/bin/$(PIP) install --log $(ZOO_VENV)/install.log -e '.[zoo]' \
		|| { echo "The installation failed; $(ZOO_VENV)/install.log says why." >&2; exit 1; }
	@touch $@

# The site is made from text alone, so only what the extra `docs` names is installed there, not the project.
$(DOCS_READY): pyproject.toml
	@echo "Installing into $(DOCS_VENV): some seconds the first time."
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(DOCS_VENV)
	$(PYTHON) -c 'import tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
		print(*extras["docs"], sep="\n")' > $(DOCS_VENV)/requirements.txt
	$(DOCS_VENV)/bin/$(PIP) install --log $(DOCS_VENV)/install.log -r $(DOCS_VENV)/requirements.txt \
		|| { echo "The installation failed; $(DOCS_VENV)/install.log says why." >&2; exit 1; }
	@touch $@
