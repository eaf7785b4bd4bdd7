"""An optimizer step on completions that are given, timed: what recipes/smoke_gpu.py and benchmarks/step.py measure.

The samples of one prompt are one optimizer step, in TRL's own training loop; its rollout_func returns the completions.
"""

from __future__ import annotations

import ctypes
import math
import os
import random
import time
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel, PrinterCallback, TrainerCallback
from trl import GRPOConfig

from recipes import ROOT
from recipes.packing import PackedGRPOTrainer

TOKENIZER = ROOT / "recipes" / "tiny" / "tiny-base"
LONGEST = 8192  # tokens of a completion
HALF_BILLION = {"hidden_size": 896, "num_attention_heads": 14, "num_key_value_heads": 2, "intermediate_size": 4864}
HALF_BILLION |= {"num_hidden_layers": 24, "vocab_size": 151936}  # Qwen2.5-0.5B's shape


def lengths(group: int, mean: int) -> list[int]:
    """Tokens of each completion: log-normal, sigma 0.8."""
    draw, sigma = random.Random(f"{group} {mean}"), 0.8
    return [min(LONGEST, max(1, round(draw.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)))) for _ in range(group)]


def largest_micro_batch(group: int, width: int, tokens: int) -> int:
    """The most rows of this width, padding included, that divide the group and have at most so many tokens; at least one."""
    return max(n for n in range(1, group + 1) if group % n == 0 and (n == 1 or n * width <= tokens))


def flops(config: PreTrainedConfig, weights: int, tokens: int, pairs: float, scored: int) -> float:
    """FLOPs of a forward, to which a backward is in proportion.

    Args:
        weights: of all layers together.
        tokens: that go through them.
        pairs: of a token and one that it attends to.
        scored: tokens that go through the head.
    """
    attention = 2 * config.num_hidden_layers * config.hidden_size * pairs
    return 2 * (weights * tokens + attention + config.hidden_size * config.vocab_size * scored)


def least_flops(config: PreTrainedConfig, weights: int, prompt: int, completions: list[int]) -> float:
    """Those of a forward that gives the step's gradient: each token once, and each pair of a token and one that it sees."""
    pairs = prompt**2 / 2 + sum(n * prompt + n**2 / 2 for n in completions)
    return flops(config, weights, prompt + sum(completions), pairs, sum(completions))


class Meter(TrainerCallback):
    """Seconds of each step up to the optimizer. For the last one also the tokens, and the peak memory above what was in use
    before: the GPU's, or else resident memory (Linux), or 0. The most tokens of a forward, of all steps.
    """

    def __init__(self, gpu: bool):
        self.gpu, self.resident = gpu, not gpu and os.access("/proc/self/clear_refs", os.W_OK)
        self.seconds, self.before, self.bytes, self.tokens, self.most = [], 0, 0, 0, 0

    @staticmethod
    def status(what: str) -> int:
        return int(next(line for line in Path("/proc/self/status").open() if line.startswith(what)).split()[1]) * 1024

    def on_step_begin(self, args, state, control, **kwargs):
        self.tokens = 0
        if self.gpu:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
        elif self.resident:
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts over
            self.before = self.status("VmRSS")
        self.start = time.perf_counter()

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        if self.gpu:
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self.start)
        if self.gpu or self.resident:
            self.bytes = (torch.cuda.max_memory_allocated() if self.gpu else self.status("VmHWM")) - self.before

    def count(self, module, args, kwargs):
        self.tokens += kwargs["input_ids"].numel()
        self.most = max(self.most, kwargs["input_ids"].numel())


def new_trainer(
    model: PreTrainedModel, folder: Path | str, rollout: dict, scores: list[float], packed_tokens: int | None, **config
) -> PackedGRPOTrainer:
    """A trainer whose "generation" returns the completions of `rollout`, all of one prompt, rewarded with `scores`.

    Args:
        packed_tokens: None for stock TRL.
        config: more options of GRPOConfig.
    """
    config = GRPOConfig(
        folder, num_generations=len(scores), max_completion_length=LONGEST, loss_type="grpo", beta=0.0, report_to="none",
        save_strategy="no", dataloader_pin_memory=False, disable_tqdm=True, logging_steps=1, **config,
    )  # fmt: skip
    trainer = PackedGRPOTrainer(
        model, lambda completion_ids, **_: scores, args=config, packed_tokens=packed_tokens,
        train_dataset=Dataset.from_dict({"prompt": ["a puzzle"] * 16}), rollout_func=lambda prompts, trainer: {**rollout},
        processing_class=AutoTokenizer.from_pretrained(TOKENIZER),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer


def timed_steps(
    model: PreTrainedModel,
    folder: Path | str,
    prompt: int,
    completions: list[int],
    scores: list[float],
    micro_batch: int,
    packed_tokens: int | None,
    **config,
) -> tuple[Meter, GRPOConfig]:
    """Train on random tokens of these lengths. The first step warms up.

    Args:
        prompt: its tokens.
        completions: the tokens of each.
        scores: the reward of each.
        micro_batch: rows of stock TRL at once.
        packed_tokens: None for stock TRL.
        config: more options of GRPOConfig.
    """
    draw = random.Random(1)
    ids = [draw.choices(range(2, model.config.vocab_size), k=n) for n in (prompt, *completions)]
    rollout = {"prompt_ids": [ids[0]] * len(completions), "completion_ids": ids[1:]}
    rollout["logprobs"] = [[0.0] * n for n in completions]
    sizes = {"per_device_train_batch_size": micro_batch, "gradient_accumulation_steps": len(completions) // micro_batch}
    trainer = new_trainer(model, folder, rollout, scores, packed_tokens, **sizes, **config)
    trainer.add_callback(meter := Meter(not trainer.args.use_cpu))
    model.model.register_forward_pre_hook(meter.count, with_kwargs=True)
    trainer.train()
    return meter, trainer.args
