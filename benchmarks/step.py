"""How much faster is a packed optimizer step than stock TRL's, with how much memory, and how close to the minimum?

  python -m benchmarks.step                              the whole table: 20 minutes on two CPU cores
  python -m benchmarks.step --groups 16 --means 300      a quick look: 3 minutes

The samples of one puzzle are one optimizer step: a prompt of 1,000 tokens, and completions of log-normal length (sigma 0.8).
`dropped` is the share of samples without an advantage; as the prompt is still needed by the others, a whole group without
one would save more. The model is Qwen2's architecture with random weights: on a CPU a small one in float32, on a GPU half a
billion parameters in bfloat16 with activation checkpointing. Each measurement runs in its own process, with TRL's training
loop and the same completions (TRL's rollout_func); stock, which computes the same whatever is dropped, runs once per shape,
before packed. Time stops where the optimizer starts: the best of --steps, after a warm-up step. Memory is the peak above what
the process has before a step. Both get the same budget: stock as many rows in a micro-batch as fit in --packed_tokens (one, if
none fits), packing as many tokens as those rows have, up to --packed_tokens.

`bound` is the ratio of FLOPs: what stock TRL computes, and the least that gives the gradient, each token once through the
weights, each pair of a token and one that it sees once through attention. Then come shapes at which packing has nothing to
gain, and where vLLM is installed, how many of a rollout's prompt tokens it computes, when each sample is a separate request.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import torch
from datasets import Dataset
from tqdm import tqdm
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM, set_seed
from trl import GRPOConfig

from puzzles.files import write_json
from recipes import packing
from recipes.packing import MIN_PADDING_RATIO, PackedGRPOTrainer
from recipes.timed_step import (
    HALF_BILLION,
    TOKENIZER,
    flops,
    largest_micro_batch,
    least_flops,
    lengths,
    new_trainer,
    timed_steps,
)

GPU = torch.cuda.is_available()
TINY = {"hidden_size": 256, "num_attention_heads": 8, "num_key_value_heads": 2, "intermediate_size": 1024}
TINY |= {"num_hidden_layers": 2, "vocab_size": 1024}
SHAPE = HALF_BILLION if GPU else TINY


def rewards(group: int, dropped: float) -> list[float]:
    """A share of the rewards is their mean, exactly; the others are 0 and 1 in turn."""
    kept = sorted(random.Random(group).sample(range(group), min(2 * round(group * (1 - dropped) / 2), group // 2 * 2)))
    return [kept.index(place) % 2 if place in kept else 0.5 for place in range(group)]


def ratio_of_flops(prompt: int, completions: list[int], kept: list[int]) -> float:
    """Of what stock TRL computes for all completions to the least that those with an advantage need (see above)."""
    config = Qwen2Config(**SHAPE)
    hidden, kv = config.hidden_size, config.hidden_size * config.num_key_value_heads // config.num_attention_heads
    weights = config.num_hidden_layers * (2 * hidden * (hidden + kv) + 3 * hidden * config.intermediate_size)
    rows, width = len(completions), prompt + max(completions)
    scored = sum(completions) if GPU else rows * width  # on a CPU, TRL's fused head scores every position
    return flops(config, weights, rows * width, rows * width**2, scored) / least_flops(config, weights, prompt, kept)


def new_model() -> Qwen2ForCausalLM:
    set_seed(0)
    config = Qwen2Config(**SHAPE, max_position_embeddings=32768, eos_token_id=0, pad_token_id=1)
    return Qwen2ForCausalLM(config).to(torch.bfloat16 if GPU else torch.float32)


def step(prompt: int, completions: list[int], scores: list[float], micro_batch: int, packed_tokens: int | None, steps: int):
    """Seconds, bytes and tokens of an optimizer step: stock TRL's if `packed_tokens` is None."""
    config = {"max_steps": 1 + steps, "learning_rate": 0.0, "use_cpu": not GPU, "bf16": GPU, "activation_checkpointing": GPU}
    with tempfile.TemporaryDirectory() as folder:
        meter, _ = timed_steps(new_model(), folder, prompt, completions, scores, micro_batch, packed_tokens, **config)
    return {"seconds": min(meter.seconds[1:]), "bytes": meter.bytes, "tokens": meter.tokens}


def worst(rows: int, prompt: int, completion: int) -> dict:
    """Seconds of the forward and backward of rows that share nothing and have no padding: stock, packed, and as chosen."""
    seconds = {"stock": math.inf, "packed": math.inf, "chosen": math.inf}
    config = {"use_cpu": not GPU, "bf16": GPU, "activation_checkpointing": GPU}
    with tempfile.TemporaryDirectory() as folder:
        stock, packed = (
            new_trainer(new_model(), folder, {}, [0, 1], packed_tokens, **config)
            for packed_tokens in (None, rows * (prompt + completion))
        )
    ids = torch.randint(2, SHAPE["vocab_size"], (rows, prompt + completion), device=stock.accelerator.device)
    for _ in range(12):
        for name, trainer, worth in (("stock", stock, 0), ("packed", packed, 0), ("chosen", packed, MIN_PADDING_RATIO)):
            packing.MIN_PADDING_RATIO = worth
            start = time.perf_counter()
            logps = trainer._get_per_token_logps_and_entropies(trainer.model, ids, torch.ones_like(ids), completion)[0]
            logps.sum().backward()
            torch.cuda.synchronize() if GPU else None
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def prepare_vllm(dtype: str) -> None:
    """On a CPU, let the trainer's weights be loaded into vLLM, which computes in `dtype`."""
    if not GPU:
        from recipes import vllm_cpu

        vllm_cpu.prepare(dtype=dtype, block_size=32)  # a GPU has 16


def prefill(prompts: int, prompt: int, group: int) -> dict:
    """Prompt tokens of a rollout by vLLM, colocated as in TRL, and how many of them were in its cache."""
    prepare_vllm("float32")
    with tempfile.TemporaryDirectory() as folder:
        new_model().save_pretrained(folder)
        (tokenizer := AutoTokenizer.from_pretrained(TOKENIZER)).save_pretrained(folder)
        args = GRPOConfig(
            folder, num_generations=group, per_device_train_batch_size=prompts * group, max_completion_length=16, bf16=GPU,
            use_cpu=not GPU, use_vllm=True, vllm_mode="colocate", vllm_max_model_length=2 * prompt, report_to="none",
            vllm_gpu_memory_utilization=0.3,
        )  # fmt: skip
        rows = Dataset.from_dict({"prompt": ["a puzzle"] * prompts})
        trainer = PackedGRPOTrainer(folder, lambda **_: None, args=args, train_dataset=rows, processing_class=tokenizer)
        engine, outputs, draw = trainer.vllm_generation.llm, [], random.Random(2)
        generate = engine.generate
        engine.generate = lambda *args, **kwargs: outputs.extend(generate(*args, **kwargs)) or outputs
        ids = [draw.choices(range(2, 256), k=prompt) for _ in range(prompts)]
        trainer._generate_single_turn([row for row in ids for _ in range(group)], None, {}, group)
    naive = sum(len(output.prompt_token_ids) for output in outputs)
    return {"naive": naive, "cached": sum(output.num_cached_tokens for output in outputs)}


def in_a_process_of_its_own(what: str, module: str = "benchmarks.step", **arguments) -> dict:
    """What `step`, `worst` or `prefill` returns, or a function of another module that has the option --one."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    if what in ("prefill", "iteration") and not GPU:
        environment |= {"VLLM_CPU_KVCACHE_SPACE": "1", "TORCH_COMPILE_DISABLE": "1", "VLLM_CPU_CI_ENV": "1"}
    command = [sys.executable, "-m", module, "--one", what, json.dumps(arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt", type=int, default=1000, help="tokens of the prompt (1000)")
    parser.add_argument("--groups", type=int, nargs="+", default=[16, 50], help="samples of it (16 50)")
    parser.add_argument("--means", type=int, nargs="+", default=[300, 1200], help="mean tokens of a completion (300 1200)")
    parser.add_argument("--dropped", type=float, nargs="+", default=[0, 0.3, 0.6], help="shares dropped (0 0.3 0.6)")
    parser.add_argument("--packed_tokens", type=int, default=16384, help="token budget of a forward and backward (16384)")
    parser.add_argument("--steps", type=int, default=2, help="steps to take the best of (2)")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench-step.json"))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps({"step": step, "worst": worst, "prefill": prefill}[args.one[0]](**json.loads(args.one[1]))))
        return
    if min(args.groups) < 2:
        parser.error(f"--groups {min(args.groups)} is too few: GRPO compares the samples of a prompt, 2 or more.")
    if min(args.prompt, *args.means, args.steps, args.packed_tokens) < 1 or not all(0 <= x <= 1 for x in args.dropped):
        parser.error("lengths and steps are 1 or more, and shares in --dropped from 0 to 1.")
    print("prompt group  mean dropped |     stock    packed   ratio   bound |  tokens: stock    packed | memory ratio")
    rows = []
    shapes = [(group, mean) for group in args.groups for mean in args.means]
    for group, mean in tqdm(shapes, unit="shape"):
        completions = lengths(group, mean)
        width = args.prompt + max(completions)
        micro_batch = largest_micro_batch(group, width, args.packed_tokens)
        common = {"prompt": args.prompt, "completions": completions, "micro_batch": micro_batch, "steps": args.steps}
        stock = in_a_process_of_its_own("step", **common, scores=rewards(group, 0), packed_tokens=None)
        for dropped in args.dropped:
            scores, room = rewards(group, dropped), min(micro_batch * width, args.packed_tokens)
            packed = in_a_process_of_its_own("step", **common, scores=scores, packed_tokens=room)
            kept = [n for n, score in zip(completions, scores, strict=True) if score != 0.5]
            rows.append({"prompt": args.prompt, "group": group, "mean_length": mean, "dropped": dropped} | {
                "stock_s": stock["seconds"], "packed_s": packed["seconds"], "ratio": stock["seconds"] / packed["seconds"],
                "bound": ratio_of_flops(args.prompt, completions, kept),
                "stock_tokens": stock["tokens"], "packed_tokens": packed["tokens"],
                "memory_ratio": packed["bytes"] / stock["bytes"] if stock["bytes"] else None,
            })  # fmt: skip
            r = rows[-1]
            tqdm.write(
                f"{args.prompt:6} {group:5} {mean:5} {dropped:7.0%} | {r['stock_s']:7.2f} s {r['packed_s']:7.2f} s "
                f"{r['ratio']:6.1f}× {r['bound']:6.1f}× | {r['stock_tokens']:14,} {r['packed_tokens']:9,} | "
                + (f"{r['memory_ratio']:12.2f}" if r["memory_ratio"] else "not measured")
            )
    for what, values, other in (("group", args.groups, "mean_length"), ("mean_length", args.means, "group")):
        for r in (r for r in rows if r[what] == min(values) < max(values) and not r["dropped"]):
            for more in (m for m in rows if m[what] == max(values) and m[other] == r[other] and not m["dropped"]):
                print(
                    f"{what} {r[what]} → {more[what]} at {other} {r[other]}: stock takes {more['stock_s'] / r['stock_s']:.1f} "
                    f"times as long, packed {more['packed_s'] / r['packed_s']:.1f} times"
                )
    print("the worst case, rows that share nothing and have no padding, as ratios to stock:")
    result = {"rows": rows, "worst": []}
    for shape in ((1, 2000, 3000), (2, 1000, 300), (64, 80, 80), (256, 20, 10)):
        shape = dict(zip(("rows", "prompt", "completion"), shape, strict=True))
        result["worst"].append(w := shape | in_a_process_of_its_own("worst", **shape))
        print(
            f"{w['rows']:6} rows of {w['prompt']} + {w['completion']} tokens: packed {w['stock'] / w['packed']:.2f}×, "
            f"chosen {w['stock'] / w['chosen']:.2f}×"
        )
    if find_spec("vllm"):
        result["prefill"] = [
            {"group": group, **in_a_process_of_its_own("prefill", prompts=4, prompt=args.prompt, group=group)}
            for group in args.groups
        ]
        for r in result["prefill"]:
            print(
                f"rollout of 4 prompts × {r['group']} by vLLM: {r['naive'] - r['cached']:,} prompt tokens computed, not "
                f"{r['naive']:,}; of the repeats {r['cached'] / (r['naive'] - 4 * args.prompt):.1%} were in its prefix cache"
            )
    write_json(args.output, result)
    print(f"rows: {args.output}")


if __name__ == "__main__":
    main()
