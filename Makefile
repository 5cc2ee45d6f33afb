# Two commands for a newcomer: `make quickstart` and `make test`. Python >= 3.11, git and make are enough.
# The environment is $(VENV); its stamps say what is installed, so that a second make installs nothing.

VENV ?= .venv
PYTHON ?= python3
UV_VERSION ?= 0.13.9
PYTEST_ARGS ?= -n 2
DATA ?= $(or $(FRAGILITY_DATA),data)
PEERS ?=
REPEATS ?=
DEMO = --repeats 3 --set training.adam.steps=6000 --set procedures.published.steps=750
# The studies of docs/reproduction.md go in two streams side by side, a store each, since a store takes one run at a time:
# networks of five units give a second thread of one run nothing to do. iris-depth, iris-depth-frozen and revisited share base
# models, so they share a store. What averages weights takes all its steps, and most of the time.
FIRST = iris-depth iris-depth-frozen revisited iris-depth-converged iris-depth-no-l2 iris-depth-tanh iris-depth-tanh-no-l2
ONE_SEED = iris-depth-tanh-goodseed
FIRST_AVERAGED = iris-depth-no-l2-swa iris-depth-swa
FIRST_BAYESIAN = iris-bnn-width
SECOND = iris-width iris-width-no-l2
SECOND_AVERAGED = iris-width-swa iris-width-no-l2-swa
SECOND_BAYESIAN = iris-bnn-depth iris-bnn-depth-selu
FEWER_STEPS = --set training.adam.steps=3000 --set procedures.published.steps=375
# Images take a reduced size, as in the head of each study, where the full one is too; VGG-13 is left out. Those whose images
# are not in $(DATA) are left out too, and named.
MNIST = mnist-fc mnist-lenet mnist-bnn-lenet revisited-mnist-fc revisited-mnist-lenet
CIFAR = cifar-lenet
SIZE.mnist-fc = --repeats 5 --set datasets.mnist.subset.train=3000 --set training.adam.steps=600 \
  --set procedures.published.steps=300 --set 'sweep={"models.mlp.width": [8, 32, 128]}'
SIZE.mnist-lenet = --repeats 5 --set 'datasets.mnist.subset={train: 5000, test: 2000}' \
  --set training.adam.batch_size=125 --set training.adam.epochs=8 \
  --set procedures.published_max.epochs=8 --set procedures.published_median.epochs=8
SIZE.mnist-bnn-lenet = --repeats 3 --set 'datasets.mnist.subset={train: 1000, test: 500}' \
  --set models.bnn.log_determinant=1 --set models.bnn.divergence=0.01 \
  --set training.adam.batch_size=125 --set training.adam.epochs=20 \
  --set procedures.published_max.epochs=3 --set procedures.published_median.epochs=3 \
  --set procedures.published_max.train_points.count=20 --set procedures.published_median.train_points.count=20 \
  --set procedures.corrected_max.epochs=20 --set procedures.corrected_median.epochs=20
QUICK.mnist-bnn-lenet = --set 'datasets.mnist.subset={train: 500, test: 200}'
SIZE.cifar-lenet = --repeats 5 --set training.adam.batch_size=125 --set training.adam.epochs=8 \
  --set 'datasets.cifar10={kind: image_folder, path: cifar10, normalize: {mean: 0.5, std: 0.5}, subset: {train: 5000, test: 2000}}' \
  --set procedures.published_max.epochs=8 --set procedures.published_median.epochs=8
IMAGES = $(if $(wildcard $(DATA)/MNIST/raw/train-images-idx3-ubyte),$(MNIST)) $(if $(wildcard $(DATA)/cifar10/train),$(CIFAR))
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

reproduce: $(VENV)/.runtime ## Iris at full size (REPEATS=20 for fewer), images in DATA=DIR reduced, then docs/reproduction.md; hours, goes on where it was stopped
	$(call BOTH,results/reproduction,$(if $(REPEATS),--repeats $(REPEATS)))
	$(BIN)/python -m fragility.report.reproduction export $(call STORES,results/reproduction) docs/reproduction

reproduce-quick: $(VENV)/.runtime ## the same with 5 repeats, one of images, and fewer steps where weights are averaged; results/reproduction-quick/page.md
	$(call BOTH,results/reproduction-quick,--repeats 5,$(FEWER_STEPS),--repeats 1)
	$(BIN)/python -m fragility.report.reproduction export $(call STORES,results/reproduction-quick) results/reproduction-quick/page

# BOTH and STORES take the first store; the others stand beside it. One thread each: two streams have the two cores.
BOTH = @OMP_NUM_THREADS=1 $(MAKE) --no-print-directory -j 2 reproduce-first reproduce-second \
  STORE=$(1) ALL="$(2)" LONG="$(3)" FEW_IMAGES="$(4)"
STORES = --store $(1) --store $(1)-second $(if $(strip $(IMAGES)),--store $(1)-images)

.PHONY: reproduce-first reproduce-second
reproduce-first:
	@$(call RUN_ALL,$(FIRST),$(STORE),$(ALL))
	@$(call RUN_ALL,$(ONE_SEED),$(STORE))
	@$(call RUN_ALL,$(FIRST_AVERAGED),$(STORE),$(ALL) $(LONG))
	@$(call RUN_ALL,$(FIRST_BAYESIAN),$(STORE),$(ALL) $(LONG) $(FEW_CORRECTED))

reproduce-second:
	@$(call LEFT_OUT,$(MNIST),$(DATA)/MNIST/raw)
	@$(call LEFT_OUT,$(CIFAR),$(DATA)/cifar10/train)
	@$(call RUN_ALL,$(SECOND),$(STORE)-second,$(ALL))
	@$(call RUN_ALL,$(SECOND_AVERAGED),$(STORE)-second,$(ALL) $(LONG))
	@$(call RUN_ALL,$(SECOND_BAYESIAN),$(STORE)-second,$(ALL) $(LONG) $(FEW_CORRECTED))
	@$(call RUN_ALL,$(IMAGES),$(STORE)-images,--data $(DATA),$(FEW_IMAGES))

FEW_CORRECTED = $(if $(LONG),--set procedures.corrected.steps=375)
# A run with failed tasks (1) has results all the same; anything else ends it. What comes last of an option that is given twice holds.
RUN_ALL = set -e; $(foreach study,$(1),$(BIN)/fragility run epifano-2023/$(study) $(SIZE.$(study)) $(3) $(4) $(if $(LONG),$(QUICK.$(study))) --store $(2) || test $$? -eq 1;)
LEFT_OUT = $(if $(filter $(1),$(IMAGES)),:,echo 'left out: $(1); there are no images in $(2) (DATA=DIR or FRAGILITY_DATA names another folder)' >&2)

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
