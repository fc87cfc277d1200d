# make demo: the page on http://127.0.0.1:7860; make test: one case of each kind, in five minutes on two cores;
# make test-all: all tests; make test-slow: those that make test leaves out; make lint;
# make coverage: all tests, and which branches they take;
# make bench: half an hour, on a machine that does nothing else; make lock: the hash-locked requirements;
# make audit: known vulnerabilities in them. Each sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"
TORCH_CPU ?= https://download.pytorch.org/whl/cpu/torch/
TEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile
CREMA_D ?= data/crema-d
PEERS := .venv-peers/bin/python

demo: .venv/demo
	$(BIN)/python app.py

test: .venv/test
	$(TEST) -m "not slow"

test-slow: .venv/test
	$(TEST) -m slow

test-all: .venv/test
	$(TEST)

lint: .venv/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

coverage: .venv/test
	$(TEST) --cov --cov-report=term-missing

lock: .venv/release
	$(LOCK) -o requirements.lock requirements.txt
	sed 's/^torch==.*/&+cpu/' requirements.txt | $(LOCK) --find-links $(TORCH_CPU) -o requirements-cpu.lock -

audit: .venv/release
	.ci/audit $(BIN)/pip-audit

results: .venv/demo
	$(BIN)/python -m ser results
	$(BIN)/python -m benchmarks.report

bench: .venv/bench .venv-peers/done
	$(BIN)/python -m benchmarks.features --clips $(CREMA_D)
	$(BIN)/python -m benchmarks.training --clips $(CREMA_D) --peers $(PEERS)
	$(BIN)/python -m benchmarks.inference --clips $(CREMA_D)
	$(BIN)/python -m benchmarks.growth --clips $(CREMA_D)
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

.venv/lint: .venv/demo pyproject.toml  # mypy reads the types of the packages
	$(BIN)/python -m pip install --group lint
	touch $@

.venv/release: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --group release
	touch $@

.venv/bench: .venv/test
	$(BIN)/python -m pip install --group bench
	touch $@

.venv-peers/done: benchmarks/requirements-peers.txt
	$(PYTHON) -m venv .venv-peers
	$(PEERS) -m pip install -r $<
	touch $@

.PHONY: demo test test-slow test-all lint coverage lock audit results bench
