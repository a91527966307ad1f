# Everything here works from a fresh clone and needs only make, and Python 3.11 or newer with venv.
#
#   make demo      edit the sample clip; the video and a before/after contact sheet appear in demo/
#   make test      the whole test suite, a process on every core (JOBS=0: in one; PYTEST_ARGS="-m 'not slow'" to choose)
#   make test-browser   the report of vedit evaluate in a headless Chromium (Debian: chromium, chromium-driver)
#   make lint      ruff, rules and format          make types        pyright
#   make format    let ruff rewrite the sources    make completions  regenerate completions/
#   make clean     remove what the targets made, .venv included
#
# PIP_ARGS goes to every "pip install", to choose an index or a build of torch; see README.md.

PYTHON      ?= python3
VENV        ?= .venv
PIP_ARGS    ?=
PYTEST_ARGS ?=
JOBS        ?= auto
CLIP        ?= $(firstword $(sort $(wildcard examples/*.mp4)))
INSTRUCTION ?= make it snowy

BIN         := $(VENV)/bin
NAME         = $(basename $(notdir $(CLIP)))
# Python compiles what it imports at the first run; to compile everything here would double the time.
INSTALL      = $(BIN)/python -m pip install --disable-pip-version-check --no-compile --constraint constraints.txt $(PIP_ARGS)

.PHONY: help demo test test-browser lint format types completions clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#  //p' Makefile

demo: $(VENV)/.runtime
	@test -n "$(CLIP)" || { echo "examples/ holds no .mp4; name a clip: make demo CLIP=your.mp4" >&2; exit 1; }
	@mkdir -p demo
	$(BIN)/vedit instruct "$(CLIP)" "$(INSTRUCTION)" -o "demo/$(NAME).edited.mp4" --sheet "demo/$(NAME).before-after.png" -y
	@echo "Before and after, side by side: demo/$(NAME).before-after.png"

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

test-browser: $(VENV)/.dev
	$(BIN)/python -m pytest -m browser $(PYTEST_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev
	$(BIN)/pyright --pythonpath $(BIN)/python

completions: $(VENV)/.runtime
	$(BIN)/python scripts/completions.py

clean:
	rm -rf $(VENV) demo dist build .pytest_cache .ruff_cache
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is younger than what it was installed from, so a second run installs nothing.
# The sources need no entry: the install is editable.
$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable ".[dev]"
	@touch $@ $(VENV)/.runtime

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "$(PYTHON) -m venv $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu, install python3-venv" >&2; exit 1; }
