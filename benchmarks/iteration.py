"""How long is each part of a GRPO iteration, with stock TRL and with a packed optimizer step?

  python -m benchmarks.iteration                                          SmolLM2-135M-Instruct: half an hour on two CPU cores
  python -m benchmarks.iteration --model outputs/smollm2/seed-0/warm-start           another model

An iteration generates --samples completions of each of --prompts puzzles and takes two optimizer steps on them. Its parts:

generation               by vLLM in this process where it is installed, else by Transformers
weight sync              the trainer's weights are copied into vLLM
scoring                  all graders of recipes/grpo.py
old log-probabilities    of the completions under the weights that generated them
optimizer steps          forward, backward and optimizer
preparing rows           what is left: tokens to tensors, shuffling, and for packing sorting and cutting

Puzzles, lengths and precision are those of recipes/smollm2-135m.yaml. Stock is TRL's own GRPOTrainer, packed the trainer of
recipes/packing.py. Each runs in its own process, with the same seed and at a learning rate of 0, so both should generate the
same completions (the table says if not). Rewards alternate within a group, so no row is dropped, whatever the model can do; the
graders' scores are computed and not trained on. At once go --rows rows of stock TRL, about 600 tokens each, and the recipe's
packed_tokens, 4,096. The first iteration warms up; of the others the fastest counts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from benchmarks.step import GPU, in_a_process_of_its_own, prepare_vllm
from puzzles.files import read_yaml, write_json
from puzzles.tables import text_table
from recipes import ROOT
from recipes.arguments import puzzles_of
from recipes.data import fresh_puzzles
from recipes.machine import has_bfloat16
from recipes.packing import PackedGRPOTrainer
from recipes.smollm2.weights import base_model
from rewards.accuracy import accuracy, published_accuracy, solved
from rewards.deductions import deductions

RECIPE = ROOT / "recipes" / "smollm2-135m.yaml"
PARTS = ("generation", "weight sync", "scoring", "old log-probabilities", "optimizer steps", "preparing rows")
STEPS = 2  # optimizer steps in an iteration


class Stopwatch(TrainerCallback):
    """Seconds of each part of each iteration, and the tokens that the model computed in it.

    A part that runs within another stops that one's clock; what is within none is part of the optimizer steps.
    """

    def __init__(self):
        self.iterations, self.running, self.last = [], ["optimizer steps"], 0.0

    def lap(self) -> None:
        """Charge the time since the last lap to the innermost part that is running."""
        torch.cuda.synchronize() if GPU else None
        now = time.perf_counter()
        if self.iterations:
            self.iterations[-1]["seconds"][self.running[-1]] += now - self.last
        self.last = now

    def time(self, part: str, owner: object, method: str, when: Callable[[], bool] = lambda: True) -> None:
        """Charge the calls of a method to a part, those for which `when` holds."""
        call = getattr(owner, method)

        def timed(*args, **kwargs):
            if not when():
                return call(*args, **kwargs)
            self.lap()
            self.running.append(part)
            try:
                return call(*args, **kwargs)
            finally:
                self.lap()
                self.running.pop()

        setattr(owner, method, timed)

    def count(self, module, args, kwargs) -> None:
        if self.iterations:
            self.iterations[-1]["tokens"][self.running[-1]] += kwargs["input_ids"].numel()

    def on_step_begin(self, args, state, control, **kwargs):
        self.lap()
        if state.global_step % STEPS == 0:
            self.iterations.append({"seconds": dict.fromkeys(PARTS, 0.0), "tokens": dict.fromkeys(PARTS, 0)})

    def on_train_end(self, args, state, control, **kwargs):
        self.lap()


def iteration(model: str, packed: bool, prompts: int, samples: int, rows: int, repeats: int) -> dict:
    """Seconds and tokens of the parts of the fastest of `repeats` iterations, and the completions' tokens."""
    options, use_vllm = read_yaml(RECIPE), find_spec("vllm") is not None
    puzzles = fresh_puzzles(puzzles_of(RECIPE), 0, prompts)
    if use_vllm:
        prepare_vllm(options["dtype"])
    lengths = []

    def alternating(completion_ids, **_) -> list[float]:
        lengths.append(sum(map(len, completion_ids)))
        return [place % 2 for place in range(len(completion_ids))]

    graders = [accuracy, published_accuracy, solved, deductions, alternating]
    with tempfile.TemporaryDirectory() as folder:
        args = GRPOConfig(
            folder, num_generations=samples, per_device_train_batch_size=rows, generation_batch_size=prompts * samples,
            gradient_accumulation_steps=prompts * samples // (rows * STEPS), max_steps=STEPS * (1 + repeats),
            max_completion_length=options["max_completion_length"], reward_weights=[0, 0, 0, 0, 1], loss_type="grpo", beta=0.0,
            learning_rate=0.0, bf16=options["bf16"] and (GPU or has_bfloat16()), use_cpu=not GPU,
            model_init_kwargs={"dtype": options["dtype"]},
            activation_checkpointing=options["activation_checkpointing"], use_vllm=use_vllm, vllm_mode="colocate",
            vllm_enable_sleep_mode=GPU, vllm_gpu_memory_utilization=0.3, vllm_max_model_length=1024,
            dataloader_pin_memory=False, logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True,
        )  # fmt: skip
        kind, budget = (PackedGRPOTrainer, {"packed_tokens": options["packed_tokens"]}) if packed else (GRPOTrainer, {})
        trainer = kind(model, graders, args=args, train_dataset=puzzles, callbacks=[watch := Stopwatch()], **budget)
        watch.time("preparing rows", trainer, "_prepare_inputs")
        watch.time("generation", trainer, "_generate_single_turn")
        watch.time("scoring", trainer, "_calculate_rewards")
        watch.time(
            "old log-probabilities",
            trainer,
            "_get_per_token_logps_and_entropies",
            lambda: not torch.is_grad_enabled(),
        )
        if use_vllm:
            watch.time("weight sync", trainer.vllm_generation, "sync_weights")
        trainer.model.model.register_forward_pre_hook(watch.count, with_kwargs=True)
        trainer.train()
    best = min(range(1, 1 + repeats), key=lambda i: sum(watch.iterations[i]["seconds"].values()))
    return {**watch.iterations[best], "completion_tokens": lengths[best], "vllm": use_vllm}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of a model, or its id on the Hub (SmolLM2-135M-Instruct)")
    parser.add_argument("--prompts", type=int, default=4, help="puzzles in an iteration (4)")
    parser.add_argument("--samples", type=int, default=16, help="completions of each (16)")
    parser.add_argument("--rows", type=int, default=8, help="rows in a micro-batch of stock TRL (8)")
    parser.add_argument("--repeats", type=int, default=2, help="iterations to take the fastest of, after one to warm up (2)")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench-iteration.json"))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(iteration(**json.loads(args.one[1]))))
        return
    if min(args.prompts, args.rows, args.repeats, args.samples - 1) < 1 or args.prompts * args.samples % (STEPS * args.rows):
        parser.error(
            f"--prompts {args.prompts} × --samples {args.samples} must be a multiple of {STEPS} × --rows {args.rows}, with at "
            "least 2 samples and 1 repeat."
        )
    model = args.model or str(base_model())
    common = {"model": model, "prompts": args.prompts, "samples": args.samples, "rows": args.rows, "repeats": args.repeats}
    stock, ours = (in_a_process_of_its_own("iteration", "benchmarks.iteration", **common, packed=x) for x in (False, True))
    write_json(args.output, found := result(model, stock, ours))
    print(report(found))
    print(f"rows: {args.output}")


def result(model: str, stock: dict, ours: dict) -> dict:
    """What is written: seconds of each part, and stock / ours of a whole iteration, without generation and with it."""
    rows = [{"part": part, "stock_s": stock["seconds"][part], "ours_s": ours["seconds"][part]} for part in PARTS]
    whole, trained = (
        sum(row["stock_s"] for row in some) / sum(row["ours_s"] for row in some)
        for some in (rows, [row for row in rows if row["part"] != "generation"])
    )
    both = {key: {"stock": stock[key], "ours": ours[key]} for key in ("tokens", "completion_tokens")}
    machine = {"device": torch.cuda.get_device_name() if GPU else "CPU", "vllm": stock["vllm"]}
    return {"rows": rows, "ratio": trained, "ratio_with_generation": whole, "model": model, **machine, **both}


def report(found: dict) -> str:
    """The parts side by side, with the tokens that the model computed in them."""
    of, tokens = ("stock", "ours"), found["tokens"]
    lines = [
        (
            row["part"],
            *(f"{row[f'{side}_s']:.2f} s" for side in of),
            f"{row['stock_s'] / row['ours_s']:.1f}×" if row["ours_s"] else "",
            *(f"{tokens[side][row['part']]:,}" if tokens[side][row["part"]] else "" for side in of),
        )
        for row in found["rows"]
    ]
    completions = found["completion_tokens"]
    same = "the same completions" if completions["stock"] == completions["ours"] else "NOT the same completions"
    return "\n".join([
        text_table(("", "stock", "ours", "ratio", "tokens: stock", "ours"), lines),
        f"{same}: {completions['stock']:,} and {completions['ours']:,} tokens",
        f"an iteration: {found['ratio']:.1f} times as fast without generation, {found['ratio_with_generation']:.1f} with it",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
