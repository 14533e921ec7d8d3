# Two commands do all the set-up: `make demo` runs the main job, `make test` passes the tests.
# `make proof` runs the long forms of the proofs, `make bench` the benchmarks: each up to half an hour.
# `make test-real` runs the tests with real coding agents, which it installs: some 1.2 GB in .venv/real.
# `make table` after a command or option was changed.
# Needed: Python >= 3.11 with venv, git. Everything else goes into .venv.

# Compiled modules are kept: else each of the tests' thousands of processes compiles them anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
ROUNDS ?= 30
STAMP := .venv/.installed

.PHONY: demo idle dispatch flow scale test test-real test-pythons proof live land commons forge bench picture session web-picture top-picture pyz check table clean

demo: $(STAMP)
	@PATH="$(CURDIR)/.venv/bin:$$PATH" bash tests/demo.sh

test: $(STAMP) check
	@echo "Running the tests on $$(nproc 2>/dev/null || echo '?') processors: about half an hour on two."
	@.venv/bin/python -m pytest --numprocesses auto -rs

# The suite on every Python >= 3.11 on PATH, or on those that PYTHONS names.
test-pythons:
	@bash tests/pythons.sh $(PYTHONS)

test-real: $(STAMP)
	@PYTHON=$(PYTHON) tests/real/install claude codex gemini pi
	@.venv/bin/python -m pytest tests/real -rs

proof: $(STAMP)
	@.venv/bin/python -m pytest tests/proof --long --numprocesses auto -rs

# 200 issues, 50 changed on both sides at once, the bridge killed 30 times; and an alert within 100 ms.
forge: $(STAMP)
	@PYTHON=$(PYTHON) tests/forge/install
	@.venv/bin/python -m pytest tests/bridges/test_github.py tests/bridges/test_github_forms.py --long -rs
	@.venv/bin/python bench/webhooks.py

# What live remotes promise, in its long form, on every engine that is installed.
live: $(STAMP)
	@.venv/bin/python -m pytest tests/live tests/kernel/test_bus.py tests/bridges/test_nats.py \
	  tests/bridges/test_relay_log.py --long --numprocesses auto -rs

# One table; `make bench ROUNDS=5` is quick, `make bench THEMES="startup sync"` is a part of it.
bench: $(STAMP)
	.venv/bin/python bench $(ROUNDS) $(THEMES)

# What a patrol and a worker cost in ten real minutes in which nothing happens.
idle: $(STAMP)
	.venv/bin/python bench/idle.py

# What 30 agents cost that coord-dispatch starts, 5 at once.
dispatch: $(STAMP)
	.venv/bin/python bench/dispatch.py

# What a sync costs with 100 replicas of one project, and in a simulation with 10,000; 10 minutes.
scale: $(STAMP)
	.venv/bin/python bench/scale $(SCALE)

# What a formula of 2,000 steps costs to cook and apply.
flow: $(STAMP)
	.venv/bin/python bench/flow.py

# A merge queue: 20,000 batches, 2,000 random days, real git with every subset and killed at every step.
land: $(STAMP)
	@.venv/bin/python -m pytest tests/proof/test_land.py tests/land --long --numprocesses auto -rs

# Three towns in a commons over git and the relay: 50 offers, races, processes killed at random.
commons: $(STAMP)
	@.venv/bin/python -m pytest tests/commons --long --numprocesses auto -rs

# bench/growth.svg: the cost of a command against history.
picture: $(STAMP)
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	.venv/bin/python bench/growth.py $(ROUNDS) --picture bench/growth.svg

check: $(STAMP)
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy --no-error-summary

$(STAMP): pyproject.toml tools/start
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "coord needs Python 3.11 or later; this is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing into .venv"
	@$(PYTHON) -m venv .venv
	@# The scripts of an old pip import re: 4 ms a call.
	@-.venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

# tests/screens/session.svg: the README's picture, of a real run.
session: $(STAMP)
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/python tests/picture.py tests/screens/session.svg

# bridges/web/screen.png: the picture of coord-web, by Debian's chromium.
web-picture: $(STAMP)
	.venv/bin/python tests/picture_web.py bridges/web/screen.png

# bridges/top/screen.svg: the picture of coord-top.
top-picture: $(STAMP)
	.venv/bin/python tests/picture_top.py bridges/top/screen.svg

# coord.pyz: the tools in one file. PLATFORMS="manylinux2014_aarch64 …" is for other machines.
pyz: $(STAMP)
	@.venv/bin/python tools/pyz/build.py coord.pyz $(PLATFORMS)

table: $(STAMP)
	.venv/bin/python tools/table.py

clean:
	rm -rf .venv .venv-pythons .mypy_cache .ruff_cache .pytest_cache .hypothesis
