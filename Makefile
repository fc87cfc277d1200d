# make demo: the page on http://127.0.0.1:7860; make test; make lint; make bench (about half an hour, on a machine that
# does nothing else). Each sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
CREMA_D ?= data/crema-d
PEERS := .venv-peers/bin/python

demo: .venv/demo
	$(BIN)/python app.py

test: .venv/test
	$(BIN)/python -m pytest

lint: .venv/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

results: .venv/demo
	$(BIN)/python -m ser.regenerate

bench: .venv/bench .venv-peers/done
	$(BIN)/python -m benchmarks.features --clips $(CREMA_D) --peers $(PEERS)
	$(BIN)/python -m benchmarks.training --clips $(CREMA_D) --peers $(PEERS)
	$(BIN)/python -m benchmarks.inference
	$(BIN)/python -m benchmarks.growth --clips $(CREMA_D)
	$(BIN)/python -m benchmarks.before_after
	$(BIN)/python -m benchmarks.page
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.report

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

.venv/lint: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --group lint
	touch $@

.venv/bench: .venv/test
	$(BIN)/python -m pip install --group bench
	touch $@

.venv-peers/done: benchmarks/requirements-peers.txt
	$(PYTHON) -m venv .venv-peers
	$(PEERS) -m pip install -r $<
	touch $@

.PHONY: demo test lint results bench
