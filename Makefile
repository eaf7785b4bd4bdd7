# Every command a person needs. `make` alone prints them; each one sets up what it needs and no more.
PYTHON ?= python3
SEED ?= 0
INDEX ?= 0
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install train-tiny tiny-base puzzle dataset push-dataset gallery bench-generate test test-slow quality format clean

help: ## Print this help
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/cpu ## Set up .venv for a laptop without a GPU
	@echo "Ready: .venv ($$($(BIN)/python --version), torch $$($(BIN)/python -c 'import torch; print(torch.__version__)'))"

train-tiny: .venv/cpu ## Teach a tiny model on the CPU, and show it before and after (SEED=0)
	OMP_NUM_THREADS=2 $(BIN)/python recipes/train_tiny.py --seed $(SEED)

tiny-base: .venv/cpu ## Make the base checkpoint that train-tiny starts from, from nothing (20 to 30 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python recipes/sft.py --config recipes/tiny-base.yaml

puzzle: .venv/cpu ## Print a puzzle and its solution (SEED=0 INDEX=0)
	$(BIN)/python -m puzzles --seed $(SEED) --index $(INDEX)

dataset: .venv/cpu ## Make outputs/temporal-clue: train, validation, test (ARGS="--mix easy=2000,medium=2000,hard=1000")
	$(BIN)/python -m puzzles.dataset $(ARGS)

push-dataset: .venv/cpu ## Publish it on the Hub (REPO=name/temporal-clue PRIVATE=1 DRY_RUN=1 REPLACE=1)
	$(BIN)/python -m puzzles.push $(REPO) $(if $(PRIVATE),--private) $(if $(DRY_RUN),--dry-run) $(if $(REPLACE),--replace)

gallery: .venv/cpu ## Write GALLERY.md and gallery/index.html: puzzles to look at
	$(BIN)/python -m puzzles.gallery

bench-generate: .venv/cpu ## Measure the generator against the published scheme (half an hour; ARGS="--puzzles 2 --limit 10")
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/generate.py $(ARGS)

test: .venv/dev ## Run the tests that take no more than minutes
	$(BIN)/python -m pytest -m "not slow"

test-slow: .venv/dev ## Run the long tests as well
	$(BIN)/python -m pytest

quality: .venv/dev ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/dev ## Mend style and format where that can be done without thought
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Delete .venv and outputs
	rm -rf .venv outputs

# A stamp a set of requirements: made again when the file changes. torch comes first and by exact version, so that nothing
# else can pull another build of it. PIP_ARGS may name an index of CPU builds of torch (see the README).
.venv/cpu: requirements-cpu.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: Python 3.11 or newer \
	is needed. Name one with: make PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) $$(grep '^torch==' requirements-cpu.txt)
	$(BIN)/python -m pip install --quiet -r requirements-cpu.txt
	touch $@

.venv/dev: .venv/cpu requirements-dev.txt
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@
