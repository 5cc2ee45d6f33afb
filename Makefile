# Two commands for a newcomer: `make quickstart` and `make test`. Python >= 3.11, git and make are enough.
# The environment is $(VENV); its stamps say what is installed, so that a second make installs nothing.

VENV ?= .venv
PYTHON ?= python3
UV_VERSION ?= 0.13.9
PYTEST_ARGS ?= -n 2
DATA ?= data
PEERS ?=
REPEATS ?=
DEMO = --repeats 3 --set training.adam.steps=6000 --set procedures.published.steps=750
# The studies of docs/reproduction.md; those that average weights take all their steps, and most of the time.
IRIS = iris-depth iris-depth-no-l2 iris-depth-frozen iris-depth-tanh iris-depth-tanh-no-l2 iris-width iris-width-no-l2
AVERAGED = iris-depth-swa iris-depth-no-l2-swa iris-width-swa iris-width-no-l2-swa
BESIDE = iris-bnn-depth iris-depth-converged revisited
FEWER_STEPS = --set training.adam.steps=3000 --set procedures.published.steps=375
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install quickstart test check demo-iris reproduce reproduce-quick bench docs lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.runtime ## make .venv with exactly the locked versions and this project, editable

quickstart: $(VENV)/.runtime ## install, run the quickstart study, write its report
	$(BIN)/fragility run quickstart
	$(BIN)/fragility report quickstart

test: $(VENV)/.dev ## install the test tools too and run the tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.dev ## formatting, lint, strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

demo-iris: $(VENV)/.runtime ## the paper's Iris depth study with few repeats and steps, and its report
	$(BIN)/fragility run epifano-2023/iris-depth $(DEMO)
	$(BIN)/fragility report iris-depth

reproduce: $(VENV)/.runtime ## every Iris study at full size (REPEATS=20 for fewer), then docs/reproduction.md; hours, goes on where it was stopped
	@$(call RUN_ALL,$(IRIS) $(BESIDE) $(AVERAGED),results/reproduction,$(if $(REPEATS),--repeats $(REPEATS)))
	$(BIN)/python -m fragility.report.reproduction export --store results/reproduction docs/reproduction

reproduce-quick: $(VENV)/.runtime ## the same with 5 repeats, averaged weights with fewer steps; results/reproduction-quick/page.md
	@$(call RUN_ALL,$(IRIS),results/reproduction-quick,--repeats 5)
	@$(call RUN_ALL,$(AVERAGED),results/reproduction-quick,--repeats 5 $(FEWER_STEPS))
	$(BIN)/python -m fragility.report.reproduction export --store results/reproduction-quick results/reproduction-quick/page

# A run with failed tasks (1) has results all the same; anything else ends it.
RUN_ALL = set -e; for study in $(1); do $(BIN)/fragility run epifano-2023/$$study $(3) --store $(2) || test $$? -eq 1; done

bench: $(VENV)/.runtime ## ours beside plain loops and other packages; DATA=DIR holds MNIST/raw and cifar10/train/CLASS
	$(BIN)/python -m benchmarks.iris
	$(BIN)/python -m benchmarks.minibatch
	$(BIN)/python -m benchmarks.newton --data $(DATA)
	$(BIN)/python -m benchmarks.frozen --data $(DATA)
	$(BIN)/python -m benchmarks.compile
	$(BIN)/python -m benchmarks.estimators $(PEERS)
	$(BIN)/python -m benchmarks.influence_mnist --data $(DATA)
	$(BIN)/python -m benchmarks.lenet --data $(DATA)

docs: $(VENV)/.runtime ## write docs/tables.md and the table in docs/estimators.md from the code's own documentation
	$(BIN)/python -c 'from fragility.store.documentation import markdown; print(markdown(), end="")' > docs/tables.md
	$(BIN)/python -c 'from pathlib import Path; from fragility.study.documentation import refreshed; \
	  page = Path("docs/estimators.md"); page.write_text(refreshed(page.read_text()))'

lock: ## bring the lock files in step with pyproject.toml
	@test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet uv==$(UV_VERSION); }
	@$(LOCK) pyproject.toml --group build -o requirements.lock
	@$(LOCK) --group dev -c requirements.lock -o requirements-dev.lock

LOCK = .venv-lock/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock'

clean: ## remove the environment, caches and builds; results/ stays
	rm -rf .venv .venv-lock build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find fragility tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# pip itself comes from `python -m venv`; run again over an environment that lacks it.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'fragility needs Python 3.11 or newer. Name one: make PYTHON=python3.12 ...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/pip
	$(PIP) install --quiet --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@
