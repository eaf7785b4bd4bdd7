"""An iteration of the 14B and 32B recipes on 8 to 1,024 GPUs, on paper: where scaling ends, what bounds it, what would help.

  python recipes/planner/scale.py                     the tables of docs/training.md, and docs/scale.svg
  python recipes/planner/scale.py --network 100       on a slower network

Nothing here was measured on more than one GPU. What is assumed, and from where:

    H100            989 TFLOP/s in bf16, 3.35 TB/s of memory, NVLink 450 GB/s in each direction: NVIDIA's datasheet
    network         400 GB/s a node in each direction, 8 × 400 Gb/s: NVIDIA's DGX H100
    of bandwidths   80 % are reached, of memory in decoding 60 %: assumed
    of the peak     50 %, recomputation included: a layer alone reached 53 to 59 % on one H100 (LOG.md)
    latency         3.4 µs for each GPU of a ring and 9.6 for each node: NCCL, src/graph/tuning.cc
    ZeRO-3          for each packed sequence, gathers the weights forward and backward and reduces the gradients, 2 bytes each,
                    in pieces of 50 million (stage3_prefetch_bucket_size), while it computes: the longer of the two counts
    decoding        reads weights and KV cache once a step, and takes 4 ms more: assumed (scheduling, launches, all-reduces)
    lengths         log-normal, mean 1,200, sigma 0.8 (benchmarks/step.py), at most 8,192; prompts of 1,229 tokens (LOG.md)
    storage         10 GB/s for all nodes together: assumed
    scoring         15 ms of a CPU core for a completion (make bench-deductions)
"""

from __future__ import annotations

import argparse
import math
import random
from pathlib import Path
from statistics import NormalDist

from matplotlib import pyplot as plt
from trl import GRPOConfig, ModelConfig

from puzzles.files import read_yaml
from puzzles.tables import markdown_table
from recipes import ROOT
from recipes.arguments import RunArguments
from recipes.evaluation.plots import COLOURS, save
from recipes.machine import GiB, Machine
from recipes.planner.memory import CHECKPOINT, head_size, memory, vllm_cache
from recipes.planner.plan import KNOWN_CONFIGS
from recipes.pretrained import count_parameters

GPUS = (8, 16, 64, 256, 1024)
FLOPS = 0.5 * 989e12  # a second, of a GPU
READ = 0.6 * 3.35e12  # bytes a second from a GPU's memory
REACHED, NVLINK, RING_STEP = 0.8, 450e9, (3.4e-6, 9.6e-6)  # of bandwidth; bytes a second; seconds on a node and between nodes
PIECE = 5 * 10**7  # parameters that are gathered at once
DECODING = 0.004  # seconds of a step besides reading
STORAGE, SCORING = 10e9, 0.015  # bytes a second; seconds a completion
PROMPT, MEAN, SIGMA = 1229, 1200, 0.8  # tokens


def quantile_lengths(count: int, longest: int) -> list[int]:
    """Tokens of `count` completions at evenly spaced quantiles, shortest first."""
    normal = NormalDist(0, SIGMA)
    lengths = (MEAN * math.exp(normal.inv_cdf((i + 0.5) / count) - SIGMA**2 / 2) for i in range(count))
    return [min(longest, max(1, round(n))) for n in lengths]


class Scale:
    """A recipe on a number of GPUs, 8 on each node.

    Args:
        network: bytes a second of a node in each direction.
        larger: the iteration, as a multiple of the recipe's.
    """

    def __init__(self, recipe: str, gpus: int, network: float = 400e9, larger: int = 1):
        self.gpus, self.network, self.options = gpus, network, read_yaml(ROOT / "recipes" / f"{recipe}.yaml")
        names = ("num_generations", "generation_batch_size", "max_completion_length", "activation_checkpointing", "eval_steps")
        names += ("save_steps", "num_generations_eval", "use_vllm", "vllm_tensor_parallel_size", "vllm_gpu_memory_utilization")
        names += ("vllm_enable_sleep_mode",)
        self.args = GRPOConfig("none", use_cpu=True, **{name: self.options[name] for name in names})
        self.config = KNOWN_CONFIGS[self.options["model_name_or_path"]]
        self.parameters = count_parameters(self.config, ModelConfig())
        self.machine = Machine("", gpus, gpus // 8, True, False, False, 79.1 * GiB, 1000 * GiB, None)
        self.completions = larger * self.args.generation_batch_size

    def fits(self) -> bool:
        run_args = RunArguments(packed_tokens=self.options["packed_tokens"])
        return not memory(self.config, self.parameters, self.machine, run_args, self.args, [PROMPT], MEAN)[1]

    def gather(self, times: int) -> float:
        """Seconds to gather all weights, or to reduce all gradients, this many times: a ring over all GPUs."""
        nodes, size, pieces = self.machine.nodes, 2 * self.parameters.total, self.parameters.total / PIECE
        bandwidth = REACHED * (min(NVLINK, self.network) if nodes > 1 else NVLINK)
        latency = (self.gpus - nodes) * RING_STEP[0] + (nodes - 1) * RING_STEP[1]
        return times * (size * (1 - 1 / self.gpus) / bandwidth + pieces * latency)

    def generation(self, completions: int) -> float:
        """Seconds until the last of the completions is done. The replicas of vLLM share them, and each decodes as many at once
        as its cache holds; a step reads the weights and the keys and values of all of them.
        """
        tp, config = self.args.vllm_tensor_parallel_size, self.config
        replicas = self.gpus // tp
        waiting = quantile_lengths(completions, self.args.max_completion_length)[::-replicas]  # of the one with the longest
        random.Random(0).shuffle(waiting)
        slots = max(1, int(vllm_cache(config, self.parameters, self.args, self.machine)[2] / (PROMPT + MEAN)))
        kv = 4 * config.num_hidden_layers * config.num_key_value_heads * head_size(config)  # bytes of a token
        seconds, decoding, chunk = 0.0, [], 32  # tokens left and done, of each; steps at a time
        while waiting or decoding:
            while waiting and len(decoding) < slots:
                decoding.append((waiting.pop(), 0))
            read = 2 * self.parameters.total + kv * sum(PROMPT + done for _, done in decoding)
            seconds += chunk * (DECODING + max(read / READ, 2 * self.parameters.total * len(decoding) / FLOPS) / tp)
            decoding = [(left - chunk, done + chunk) for left, done in decoding if left > chunk]
        return seconds

    def forward(self, rows: int, steps: float, flops: int, gathers: int) -> float:
        """Seconds to compute rows in packed sequences, the same number on each GPU; each waits for the slowest.

        Args:
            rows: completions that are packed together. Each prompt counts once, although sequences repeat some.
            steps: how many times.
            flops: for each parameter and token.
            gathers: of the weights and gradients, for each sequence.
        """
        lengths = quantile_lengths(rows, self.args.max_completion_length)
        prompts = min(rows, self.completions // self.args.num_generations)
        tokens = sum(lengths) + prompts * PROMPT
        sequences = -(-tokens // (self.options["packed_tokens"] * self.gpus))
        even = tokens / (sequences * self.gpus)
        longest = max(even, PROMPT + lengths[-1])  # a completion is not divided
        each = self.gather(gathers)
        busy = [flops * self.parameters.total * n / FLOPS for n in (longest, *[even] * (sequences - 1))]
        return steps * sum(max(seconds, each) for seconds in busy)

    def parts(self) -> dict[str, float]:
        """Seconds of each part of an iteration; evaluations and checkpoints by their share."""
        steps, args = self.options["optimizer_steps"], self.args
        evaluation = self.generation(self.options["num_eval_puzzles"] * args.num_generations_eval)
        return {
            "generation": self.generation(self.completions),
            "scoring": SCORING * max(1, self.completions / self.gpus),
            "old log-probabilities": self.forward(self.completions, 1, 2, 1),
            "training": self.forward(self.completions // steps, steps, 8, 3),
            "weight sync": self.gather(1),
            "evaluation": evaluation * steps / args.eval_steps,
            "checkpoints": CHECKPOINT * self.parameters.total / STORAGE * steps / args.save_steps,
        }


def cells(parts: dict[str, float], scale: Scale, least: float, beside: bool = False) -> list[str]:
    """Seconds of each part and of all, GPU-seconds of a completion as a multiple of the least, and the longest part.

    Args:
        beside: whether generation and evaluation go on while the rest does, on GPUs of their own.
    """
    rollout = parts["generation"] + parts["evaluation"]
    total = sum(parts.values())
    total = max(rollout, total - rollout) if beside else total
    cost = total * scale.gpus / scale.completions / least
    return [*(f"{x:.0f}" for x in parts.values()), f"**{total:.0f}**", f"{cost:.1f}", max(parts, key=parts.get)]


def draw(measures: dict[str, dict[int, dict[str, float]]], file: Path) -> None:
    """Bars of an iteration's parts over the number of GPUs, a panel for each recipe."""
    figure, panels = plt.subplots(1, len(measures), figsize=(10, 4.5), sharey=True, layout="constrained")
    for axes, (recipe, by_gpus) in zip(panels, measures.items(), strict=True):
        names, bottom = [f"{gpus:,}" for gpus in by_gpus], [0.0] * len(by_gpus)
        for part, colour in zip(next(iter(by_gpus.values())), COLOURS, strict=True):
            seconds = [parts[part] for parts in by_gpus.values()]
            axes.bar(names, seconds, bottom=bottom, color=colour, label=part)
            bottom = [a + b for a, b in zip(bottom, seconds, strict=True)]
        axes.set(title=recipe, xlabel="GPUs")
    panels[0].set_ylabel("seconds of an iteration, on paper")
    panels[-1].legend(fontsize=9)
    save(figure, file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=float, default=400, help="GB/s of a node in each direction (400)")
    parser.add_argument("--picture", type=Path, default=ROOT / "outputs" / "scale.svg", help="SVG or PNG file to draw")
    args = parser.parse_args()
    if not 0 < args.network < float("inf"):
        parser.error(f"--network {args.network:g} is impossible: give GB/s, above 0.")
    measures, table, larger = {}, [], []
    for recipe in ("qwen2.5-14b", "qwen2.5-32b"):
        scales = [Scale(recipe, gpus, args.network * 1e9) for gpus in GPUS]
        measures[recipe] = by_gpus = {scale.gpus: scale.parts() for scale in scales if scale.fits()}
        first = next(scale for scale in scales if scale.gpus in by_gpus)
        least = sum(by_gpus[first.gpus].values()) * first.gpus / first.completions
        for scale in scales:
            name, fits = f"{recipe}, {scale.gpus:,}", scale.gpus in by_gpus
            table.append([name, *(cells(by_gpus[scale.gpus], scale, least) if fits else [*["–"] * 9, "does not fit"])])
        for gpus, times, beside in ((256, 4, False), (1024, 16, False), (1024, 16, True)):
            scale = Scale(recipe, gpus, args.network * 1e9, times)
            parts = (Scale(recipe, gpus // 2, args.network * 1e9, times) if beside else scale).parts()
            name = f"{recipe}, {gpus:,}, {scale.completions:,} completions{', half of them each' if beside else ''}"
            larger.append([name, *cells(parts, scale, least, beside)])
    header = ["recipe, GPUs", *next(iter(by_gpus.values())), "all, s", "cost", "longest"]
    print(markdown_table(header, table), markdown_table(header, larger), sep="\n\n")
    draw(measures, args.picture)


if __name__ == "__main__":
    main()
