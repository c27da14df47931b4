# One word each; CI and people run the same. PYTHON=python3.12 chooses the interpreter that makes .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib # pip would do it on one core
DEMO := demo-rain
WORKERS ?= 4

# Several workers on few cores: threads of the algebra would wait for one another, a tenth of all work.
THREADS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
PYTEST := $(THREADS) $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# The same tests on other stores: real servers, from packages (tests/stores.py).
GROWN := KEEPWELL_TEST_DATABASE=postgresql KEEPWELL_TEST_STORE=s3

SEED ?= 1
KILLS ?= 20
DATABASE ?= both

# What Python has compiled once serves all the processes that tests start, also where the environment says otherwise.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test tests test-stores chaos chaos-answers lint rules types docs screenshots bench lock clean

demo: $(VENV)/.installed ## fifty years of daily weather, lived by one model
	@$(BIN)/keepwell demo --no-serve --folder $(DEMO)/rain

test: rules ## everything that must hold before a change is done: all tests on SQLite and local files, those that keep something on PostgreSQL and S3
	@$(MAKE) --no-print-directory --jobs=2 types tests

tests: $(VENV)/.installed-dev ## those tests alone
	$(PYTEST) --thin
	$(GROWN) $(PYTEST) --thin --stores

test-stores: $(VENV)/.installed-dev ## every test on all four combinations of stores, and a table of what ran
	@mkdir -p build && rm -f build/test-stores
	@failed=0; for database in sqlite postgresql; do for store in local s3; do \
		KEEPWELL_TEST_DATABASE=$$database KEEPWELL_TEST_STORE=$$store KEEPWELL_TEST_COUNTS=build/test-stores $(PYTEST) || failed=1; \
	done; done; echo; cat build/test-stores; exit $$failed

chaos: $(VENV)/.installed-dev ## fifty years, killed with -9 at KILLS moments drawn by SEED, on DATABASE=sqlite, postgresql or both
	PYTHONPATH=tests $(BIN)/python tests/chaos --seed $(SEED) --kills $(KILLS) --database $(DATABASE)

chaos-answers: $(VENV)/.installed-dev ## a server under load: 30 kills with -9, a full disk, a read-only one; 10,000 requests across 20 swaps
	PYTHONPATH=tests $(BIN)/python tests/chaos/answers.py --seed $(SEED)

lint: rules types

rules: $(VENV)/.installed-dev
	$(BIN)/ruff check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

docs: $(VENV)/.installed-dev ## write docs/reference/ anew from the code
	$(BIN)/python docs/generate.py

screenshots: $(VENV)/.installed-dev ## a picture of every page in build/screenshots: light and dark, wide and narrow
	$(BIN)/python docs/screenshots.py

bench: $(VENV)/.installed-dev
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

lock: ## choose the newest packages that fit, and name their bytes
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip --quiet install pip-tools
	CUSTOM_COMPILE_COMMAND="make lock" build/lock/bin/pip-compile --quiet --upgrade --output-file=requirements.lock pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" build/lock/bin/pip-compile --quiet --upgrade --all-extras --constraint=requirements.lock \
		--output-file=requirements-dev.lock pyproject.toml

clean:
	rm -rf $(VENV) $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Stamps: a second run installs nothing unless a lock or pyproject.toml has changed since.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "No venv could be made; on Debian: apt-get install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.installed: $(VENV)/.made requirements.lock pyproject.toml
	@echo "Installing into $(VENV) ..."
	@$(PIP) install --no-compile --require-hashes -r requirements.lock
	@$(COMPILE)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.made requirements-dev.lock pyproject.toml
	@echo "Installing into $(VENV), with what the tests need ..."
	@$(PIP) install --no-compile --require-hashes -r requirements-dev.lock
	@$(COMPILE)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.installed $@
