"""Peak memory of a training step at the recipes' real sizes, without a GPU: their own code on tensors that have no data.

  python -m benchmarks.memory                                  all recipes, in minutes
  python -m benchmarks.memory --recipes qwen2.5-14b --parts    also what is alive at the peak

PyTorch's FakeTensorMode runs each operator on shapes and dtypes alone, and a second mode adds up the storages that are alive.
So the forward and backward of PackedGRPOTrainer go through all layers, with the recipe's checkpointing, LoRA and autocast, and
with the kernels that CUDA would take. Parameters, their gradients once they are complete, and the optimizer are model states
and not counted. Each recipe is measured with a packed sequence of `packed_tokens`, and with two rows that have just too little
padding to be packed (MIN_PADDING_RATIO in recipes/packing.py). Where rows stay apart, it is one row and two of `packed_tokens`.
"""

from __future__ import annotations

import argparse
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import patch

import torch
from peft import LoraConfig, get_peft_model
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import PreTrainedConfig, masking_utils
from transformers.models.qwen3_5 import modeling_qwen3_5
from trl import GRPOConfig, ModelConfig
from trl.kernels import chunked_logprob
from trl.trainer import utils as trl_utils

from puzzles.files import read_yaml, write_json
from recipes import ROOT, attention, packing
from recipes.machine import GiB
from recipes.packing import MIN_PADDING_RATIO, PackedGRPOTrainer, RowPacker, SequencePacker, not_shareable
from recipes.planner.memory import activations
from recipes.planner.plan import KNOWN_CONFIGS
from recipes.pretrained import count_parameters, model_class

aten = torch.ops.aten
WITHOUT_ZERO3 = ("qwen2.5-1.5b", "qwen3-4b-lora")
RECIPES = (*WITHOUT_ZERO3, *(f"qwen2.5-{size}" for size in ("14b", "14b-lora", "32b", "32b-lora")))
RECIPES += tuple(f"qwen3-{size}" for size in ("8b", "14b", "30b-a3b-lora"))
RECIPES += ("qwen3.8-27b-lora",)
WITHOUT_ROUTER_LOSS = GRPOConfig("none", use_cpu=True, router_aux_loss_coef=0.0)  # no loss of a router is simulated
PROMPT, COMPLETION, SAMPLES = 1229, 1200, 10  # tokens, on average, and samples of a prompt in an optimizer step


class LiveBytes(TorchDispatchMode):
    """Adds up the tensors that operators have made and that are still alive.

    Args:
        scored: the completion tokens. There are no data to look at, and all masks that select elements select these.
        ignored: tensors that are not counted.

    Attributes:
        peak: the most bytes that were alive at a time.
        at_peak: size, and operator, shape and dtype, of each tensor that was alive then.
    """

    def __init__(self, scored: int, ignored: list[torch.Tensor]):
        super().__init__()
        self.scored, self.ignored = scored, {x.untyped_storage()._cdata for x in ignored}
        self.alive, self.now, self.peak, self.at_peak = {}, 0, 0, []

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        if op is aten.index.Tensor and args[1][0] is not None and args[1][0].dtype == torch.bool:
            made = args[0].new_empty(self.scored, *args[0].shape[args[1][0].ndim :])
        else:
            made = op(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self.add(op, tensor)
        if "attn_backward" in str(op) or "attention_backward" in str(op):
            self.note(str(op), inside_attention(*[x for x in args if isinstance(x, torch.Tensor)][1:3]))
        return made

    def add(self, op, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, -(-storage.nbytes() // 512) * 512  # as CUDA's caching allocator rounds
        if key not in self.alive and key not in self.ignored:
            self.alive[key] = (size, f"{op} {tuple(tensor.shape)} {tensor.dtype}")
            self.now += size
            weakref.finalize(storage, self.drop, key)
            self.note("", 0)

    def drop(self, key: int) -> None:
        self.now -= self.alive.pop(key)[0]

    def note(self, name: str, temporary: int) -> None:
        """A new peak, perhaps: what is alive, and `temporary` bytes."""
        if self.now + temporary > self.peak:
            self.peak, self.at_peak = self.now + temporary, [*self.alive.values(), (temporary, f"within {name}")]


def inside_attention(query: torch.Tensor, key: torch.Tensor) -> int:
    """Bytes that the backward of attention allocates and frees: the gradient of the queries in float32, and with grouped
    queries the gradients of keys and values for each query head (mha_varlen_bwd in PyTorch's flash_api.cpp).

    Args:
        query, key: (…, H, D) or (…, H, T, D).
    """
    heads = [x.shape[-2] if x.ndim == 3 else x.shape[1] for x in (query, key)]
    return 4 * query.numel() + (4 * key.numel() * heads[0] // heads[1] if heads[0] > heads[1] else 0)


def cuda_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    """F.scaled_dot_product_attention as on an H100: cuDNN with a mask, which it gets as numbers, else flash attention."""
    if torch.is_autocast_enabled("cpu"):
        query, key, value = (x.to(torch.bfloat16) for x in (query, key, value))
    if attn_mask is None:
        return aten._scaled_dot_product_flash_attention(query, key, value, dropout_p, is_causal, False, scale=scale)[0]
    bias = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill_(attn_mask.logical_not(), -torch.inf)
    return aten._scaled_dot_product_cudnn_attention(query, key, value, bias, True, dropout_p, is_causal, False, scale=scale)[0]


class DeltaRule(torch.autograd.Function):
    """What flash-linear-attention 0.6.0 allocates for the gated delta rule (fla/ops/gated_delta_rule/chunk.py); nothing is
    computed. A chunk has 64 tokens.

    Args:
        q, k: (B, T, Hk, K).
        v: (B, T, Hv, V).
        g, beta: (B, T, Hv).
    """

    @staticmethod
    def temporary(k: torch.Tensor, v: torch.Tensor, gradients: bool) -> list[torch.Tensor]:
        """Tensors that are alive within the forward, or the backward: like values, like keys for each head, a state a chunk."""
        values, keys, states = (4, 5, 2) if gradients else (2, 1, 1)
        made = [torch.empty_like(v) for _ in range(values)]
        made += [k.new_empty(*v.shape[:-1], k.shape[-1]) for _ in range(keys)]
        return made + [k.new_empty(len(k), -(-k.shape[1] // 64), *v.shape[2:], k.shape[-1]) for _ in range(states)]

    @staticmethod
    def forward(ctx, q, k, v, g, beta):
        q, k, v = (x.contiguous() for x in (q, k, v))
        lengths = [x.new_empty(x.shape[:-1], dtype=torch.float32) for x in (q, k)]
        kept = torch.empty_like(q), torch.empty_like(k), v, torch.empty_like(g, dtype=torch.float32), beta
        ctx.save_for_backward(*kept, v.new_empty(*v.shape[:-1], 64), *lengths)
        return DeltaRule.temporary(k, v, gradients=False) and torch.empty_like(v)

    @staticmethod
    def backward(ctx, gradient):
        q, k, v, g, beta, *_ = ctx.saved_tensors
        return DeltaRule.temporary(k, v, gradients=True) and tuple(map(torch.empty_like, (q, k, v, g, beta)))


class CausalConvolution(torch.autograd.Function):
    """What causal-conv1d 1.7.0 allocates, (B, C, T) for input, output and gradient."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        return torch.empty_like(x), torch.empty_like(weight)


def delta_rule(query, key, value, g, beta, **_):
    return DeltaRule.apply(query, key, value, g, beta), None


def causal_convolution(hidden_states, weight, bias, activation, **_):
    return CausalConvolution.apply(hidden_states, weight)


@contextmanager
def as_on_cuda(padded: bool):
    """Lets tensors on the CPU, where autograd needs no driver, take CUDA's ways; kernels that only write are left out.

    Args:
        padded: whether any row has padding, which Transformers would see from the mask.
    """
    kernel = defaultdict(lambda: lambda *args, **kwargs: None)  # kernel[grid](…)
    attention.segments.cache_clear()
    with ExitStack() as patches:
        for where, name, value in (
            (attention, "has_varlen_kernel", lambda query: True),
            (torch.nn.functional, "scaled_dot_product_attention", cuda_attention),
            (modeling_qwen3_5, "torch_chunk_gated_delta_rule", delta_rule),
            (modeling_qwen3_5, "causal_conv1d_fn", causal_convolution),
            (chunked_logprob, "_use_triton", lambda device: True),
            (trl_utils, "_use_triton", lambda device: True),
            (masking_utils, "_ignore_causal_mask_sdpa", lambda *args, **kwargs: not padded),
            (chunked_logprob, "_forward_kernel", kernel),
            (chunked_logprob, "_backward_kernel", kernel),
            (chunked_logprob, "triton", SimpleNamespace(cdiv=lambda a, b: -(-a // b))),
            (chunked_logprob, "_addmm_fp32", lambda sum_, a, b: None),  # CUDA adds into `sum_`
        ):
            patches.enter_context(patch.object(where, name, value, create=True))
        yield
    attention.segments.cache_clear()


@contextmanager
def default_dtype(dtype: torch.dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def fake_model(
    fake: FakeTensorMode,
    config: PreTrainedConfig,
    lora_r: int,
    zero3: bool,
    checkpointing: bool,
    dtype: torch.dtype,
    targets: str | list[str],
):
    """The model as the trainer has it, without data."""
    attention = "sdpa" if not_shareable(config, WITHOUT_ROUTER_LOSS) else "packed"
    with torch.device("meta"):
        base = model = model_class(config)._from_config(config, dtype=dtype, attn_implementation=attention)
        trl_utils.add_fused_lm_head(base, outputs=("log_probs", "entropy"))
        if lora_r:
            lora = LoraConfig(r=lora_r, target_modules=targets, lora_dropout=0.0, task_type="CAUSAL_LM")
            with default_dtype(torch.bfloat16 if zero3 else torch.float32):
                model = get_peft_model(base, lora, autocast_adapter_dtype=False)
    with fake:
        model.to_empty(device="cpu").train()
        base.tie_weights()
    if checkpointing:
        base.activation_checkpointing_enable({"use_reentrant": bool(lora_r) and zero3})
        if lora_r:
            model.enable_input_require_grads()
    return model


def simulate(
    config: PreTrainedConfig,
    rows: list[tuple[int, int, int]],
    lora_r: int = 0,
    zero3: bool = True,
    checkpointing: bool = True,
    packed_tokens: int | None = 10**9,
    keep_gradients: bool = False,
    dtype: torch.dtype = torch.bfloat16,
    targets: str | list[str] = "all-linear",
) -> LiveBytes:
    """The memory of the forward and backward of these rows at once.

    Args:
        rows: of each, a number for its prompt, and the tokens of prompt and completion.
        lora_r: rank of LoRA on the `targets`; 0 for full fine-tuning.
        zero3: as under ZeRO-3: no autocast, and LoRA in bfloat16. Otherwise autocast, and LoRA in float32.
        packed_tokens: None for stock TRL.
        keep_gradients: count the gradients of parameters to the end, as where they are not partitioned.
        dtype: of the model's weights.
    """
    width = [max(row[i] for row in rows) for i in (1, 2)]
    ids, mask = (torch.zeros(len(rows), sum(width), dtype=torch.long) for _ in range(2))
    for row, (prompt, before, after) in enumerate(rows):
        mask[row, width[0] - before : width[0] + after] = 1
        ids[row, : width[0]] = prompt
    padded = bool((mask == 0).any())
    apart = not_shareable(config, WITHOUT_ROUTER_LOSS)
    packer = (RowPacker if apart else SequencePacker)(ids[:, : width[0]], mask[:, : width[0]], mask[:, width[0] :])
    autocast = nullcontext if zero3 else lambda: torch.autocast("cpu", torch.bfloat16)
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    model = fake_model(fake, config, lora_r, zero3, checkpointing, dtype, targets)
    with fake, as_on_cuda(padded):
        trainer = object.__new__(PackedGRPOTrainer)
        trainer.packed_tokens, trainer.not_shareable = packed_tokens, apart
        trainer.accelerator = SimpleNamespace(autocast=autocast, is_main_process=False)
        ids, mask = fake.from_tensor(ids), fake.from_tensor(mask)
        for parameter in model.parameters():
            if parameter.requires_grad and not keep_gradients:
                parameter.register_post_accumulate_grad_hook(lambda parameter: setattr(parameter, "grad", None))
        live = LiveBytes(sum(row[2] for row in rows), [*model.parameters(), *model.buffers()])
        with patch.object(packing, type(packer).__name__, lambda *_: packer), live:
            logps, *_ = trainer._get_per_token_logps_and_entropies(model, ids, mask, width[1], compute_entropy=True)
            logps.sum().backward()
    return live


def packed_rows(tokens: int) -> list[tuple[int, int, int]]:
    """Rows that make a packed sequence of this length, of average lengths but for the last."""
    rows, left = [], tokens
    while left >= PROMPT:
        left -= PROMPT - 1
        for _ in range(SAMPLES):
            if length := min(COMPLETION, left):
                rows.append((len(rows) // SAMPLES, PROMPT, length))
                left -= length
    return rows


def padded_rows(tokens: int) -> list[tuple[int, int, int]]:
    """Two rows that are not packed, since one lacks a single token."""
    width = tokens // 2
    return [(0, width // 5, width - width // 5), (1, width // 5 - 1, width - width // 5)]


class Case(NamedTuple):
    """A shape at which a recipe is measured, and how."""

    name: str
    row: dict[str, str | int | bool]  # of the table, without what is measured
    planned: float  # bytes
    simulate: Callable[[], LiveBytes]


def cases(recipe: str) -> Iterator[Case]:
    """The shapes of a recipe, and what the planner expects of each."""
    options = read_yaml(ROOT / "recipes" / f"{recipe}.yaml")
    config, zero3 = KNOWN_CONFIGS[options["model_name_or_path"]], recipe not in WITHOUT_ZERO3
    lora_r, packed_tokens = options.get("lora_r", 0), options["packed_tokens"]
    names, targets = ("use_peft", "lora_r", "lora_dropout", "lora_target_modules"), options.get("lora_target_modules")
    parameters = count_parameters(config, ModelConfig(**{name: options[name] for name in names if name in options}))
    settings = GRPOConfig("none", use_cpu=True, activation_checkpointing=options["activation_checkpointing"])
    experts, checkpointing = parameters.trains_experts, settings.activation_checkpointing
    text, apart = config.get_text_config(), bool(not_shareable(config, WITHOUT_ROUTER_LOSS))
    about = {"recipe": recipe, "parameters": parameters.total, "trained": parameters.trained, "zero3": zero3}
    for padded, tokens in (
        (False, packed_tokens),
        (True, packed_tokens if apart else round(MIN_PADDING_RATIO * packed_tokens)),
    ):
        unpadded = [(0, PROMPT, tokens - PROMPT)] if apart else packed_rows(tokens)
        rows, longest = (padded_rows(tokens), tokens // 2) if padded else (unpadded, tokens)
        yield Case(
            "2 padded rows" if padded else "a row" if apart else "packed",
            about | {"padded": padded, "tokens": tokens},
            activations(text, settings, tokens, longest, lora_r > 0, not zero3, padded, experts),
            partial(simulate, config, rows, lora_r, zero3, checkpointing, targets=targets),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES, help="which recipes (all)")
    parser.add_argument("--parts", action="store_true", help="print what is alive at each peak")
    parser.add_argument("--output", type=Path, default=ROOT / "outputs" / "bench-memory.json")
    args = parser.parse_args()
    rows = []
    print(f"{'recipe':20}{'':15}{'tokens':>8}{'planned GiB':>13}{'measured':>10}{'ratio':>7}")
    for case in chain.from_iterable(map(cases, args.recipes)):
        live = case.simulate()
        name = f"{case.row['recipe']:20}{case.name:15}{case.row['tokens']:8,}"
        print(f"{name}{case.planned / GiB:13.2f}{live.peak / GiB:10.2f}{case.planned / live.peak:7.2f}", flush=True)
        rows.append(case.row | {"measured_gib": round(live.peak / GiB, 2)})
        if args.parts:
            sizes = Counter()
            for size, what in live.at_peak:
                sizes[what] += size
            print("\n".join(f"    {size / GiB:7.3f} GiB  {what}" for what, size in sizes.most_common(20)))
    write_json(args.output, {"rows": rows})
    print(f"rows: {args.output}")


if __name__ == "__main__":
    main()
