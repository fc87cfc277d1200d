# make demo: the page on http://127.0.0.1:7860; make test; make lint. Each sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin

demo: .venv/demo
	$(BIN)/python app.py

test: .venv/test
	$(BIN)/python -m pytest

lint: .venv/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

results: .venv/demo
	$(BIN)/python -m ser.regenerate

$(BIN)/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --upgrade pip==26.3

.venv/demo: $(BIN)/python requirements.txt
	$(BIN)/python -m pip install -r requirements.txt
	touch $@

.venv/test: .venv/demo pyproject.toml
	$(BIN)/python -m pip install --group test
	PLAYWRIGHT=$(BIN)/playwright sh tests/install_browser.sh
	touch $@

.venv/lint: .venv/demo pyproject.toml  # mypy reads the types of the packages
	$(BIN)/python -m pip install --group lint
	touch $@

.PHONY: demo test lint results
