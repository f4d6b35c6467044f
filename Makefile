# Two commands for a fresh machine: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
BIN := .venv/bin
PIP_FLAGS := --quiet --disable-pip-version-check
NPM_FLAGS := --no-audit --no-fund --loglevel=error
# Each notes in what it made that it is made: who deletes a folder gets it anew.
MADE := .venv/.made
RUNTIME_MADE := node_modules/.made

# Compiled files are kept: hundreds of processes of a run of the suite would compile all anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: site agents nightly fleet-crash fleet-demo fleet-load setup demo test lint types compiled suite kills coverage bench bench-quick crash fuzz fuzz-ui docs clean thorough release-check

setup: $(MADE) $(RUNTIME_MADE)

$(MADE): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(PIP_FLAGS) --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(RUNTIME_MADE): package.json package-lock.json
	npm ci $(NPM_FLAGS)
	@touch $@

demo: setup
	@PATH="$(CURDIR)/node_modules/.bin:$$PATH" $(BIN)/sdqctl demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

# What one compiles, the workers of the suite need not compile each for itself.
compiled: setup
	@$(BIN)/python -m pytest --collect-only --quiet --numprocesses 0 > /dev/null || true

suite: setup
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

# Forty kills of workflows whose tools write, which go on with `rewind`.
kills: setup
	$(BIN)/python -m pytest --thorough --numprocesses 2 tests/crash/test_rewind_kills.py

test: setup
	$(MAKE) --jobs=2 lint types compiled kills
	$(MAKE) suite

# What a run of the suite leaves out: the markers `thorough` and `each`.
thorough: setup
	$(BIN)/python -m pytest --thorough -m thorough --numprocesses auto --dist worksteal

# Random keys on the screen of sessions; SECONDS=3600 for an hour.
fuzz-ui: setup
	$(BIN)/python -m tests.fuzz.screen $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS))

# Whether what would be published can be: builds, metadata, licences; it lies in dist/ then.
# REPOSITORY=owner/name is whose releases the Homebrew formula names.
release-check: setup
	REPOSITORY=$(REPOSITORY) $(BIN)/python -m release.check

docs: setup
	$(BIN)/python docs/generate.py

# An embedded Postgres, three workers, twelve components; one worker is killed.
fleet-demo: setup
	$(BIN)/python -m tests.fleet.demo

# The pages as a site, in site/; its links are looked at.
site: setup
	$(BIN)/python -m pip install $(PIP_FLAGS) --constraint constraints.txt --editable '.[site]'
	$(BIN)/python docs/build_site.py

fleet-crash: setup
	$(BIN)/python -m pytest tests/fleet/test_take_over.py --kills $(or $(N),60) -s

# N runs on the mock over eight workers, one of which is killed every five seconds.
fleet-load: setup
	$(BIN)/python -m tests.fleet.load --runs $(or $(N),2000) $(if $(SEED),--seed $(SEED))

crash: setup
	$(BIN)/python -m pytest tests/crash --kills $(or $(N),500)

# The pinned agents, offline: AGENTS=codex tries one, N=100 makes more kills.
AGENTS ?= opencode,codex,claude

# npm 11 takes no lock file for `npm ci` that lacks packages of other platforms, as it may here.
tests/agents/node_modules/.made: tests/agents/package.json tests/agents/package-lock.json
	cd tests/agents && { npm ci $(NPM_FLAGS) || npm install --no-save $(NPM_FLAGS); }
	@touch $@

agents: setup tests/agents/node_modules/.made
	$(BIN)/python -m pip install $(PIP_FLAGS) --constraint constraints.txt --editable '.[agents]'
	TRY_AGENTS=$(AGENTS) $(BIN)/python -m pytest tests/agents/test_crash.py tests/agents --numprocesses 2 $(if $(N),--kills $(N)) \
		; status=$$?; $(BIN)/python docs/generate.py; exit $$status

coverage: setup
	$(BIN)/python -m pip install $(PIP_FLAGS) --constraint constraints.txt --editable '.[coverage]'
	COVERAGE_FILE=$(CURDIR)/.coverage $(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage combine --quiet && $(BIN)/python -m coverage report

# SEED=7 repeats a seed, SECONDS=60 ends after so long.
fuzz: setup
	$(BIN)/python -m pip install $(PIP_FLAGS) --constraint constraints.txt --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz.run $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS))

bench: setup
	$(BIN)/python -m pip install $(PIP_FLAGS) --constraint constraints.txt --editable '.[fuzz]'
	$(BIN)/python bench/run.py

bench-quick: setup
	$(BIN)/python -m pip install $(PIP_FLAGS) --constraint constraints.txt --editable '.[fuzz]'
	$(BIN)/python bench/run.py --quick

nightly: test thorough crash fuzz bench

clean:
	rm -rf .venv node_modules
