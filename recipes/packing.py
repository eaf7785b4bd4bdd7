"""An optimizer step of GRPO with stock TRL's gradient in less time: each prompt computed once, no padding, no useless rows.

Stock TRL gives every completion its own copy of the prompt and pads it to the longest of the generation batch. Packed, the
completions of a prompt share one sequence, in which each attends to the prompt and to itself (as in arXiv:2506.05433):

    stock                               packed                       attention          P   a   b   c   (keys)
      P P P P P P a a a . . . . .                                                   P   ◣
      P P P P P P b b b b b b b b         P P P P P a a a b b b b b b b b c c       a   ■   ◣
      P P P P P P c c . . . . . .                                                   b   ■       ◣
      3 × 14 = 42 positions               5 + 3 + 8 + 2 = 18 positions              c   ■           ◣

The prompt is computed once, up to its last token; that one predicts the first token of a completion, so each completion starts
with a copy of it (and leaves out its own last token, which predicts nothing). Position ids continue from the prompt's in each
completion. An optimizer step then looks like this:

    rows of all processes ─► drop those with no gradient ─► sort by prompt ─► cut into packed sequences of about equal length,
    at most `packed_tokens` each, the same number on each process ─► forward and backward, one sequence after the other

Why the gradient is stock's, up to rounding: every remaining token sees the same tokens at the same positions as in stock TRL,
so its log-probability is the same; a dropped row has an advantage of 0 (and no KL term), so it adds 0; and the loss is a sum
over rows or tokens with the step's own divisor, so it does not matter which of them are computed together. Metrics are stock's
with the step as one micro-batch, over the rows that are left. Where a loss is a ratio of sums over a micro-batch (bnpo, an
entropy bonus, top_entropy_quantile, the load balancing of experts), rows stay in stock's micro-batches and packing happens
within them. Rows with little padding are left padded.

A model with anything but full attention (a window, sinks, a recurrent state) cannot share a prompt. Its rows stay apart, each
padded on the right to the longest of those computed with it, of similar length; all else is as above, and so is the gradient.

Axes of tensors, in comments: R rows, P prompt tokens, C completion tokens, T tokens of a packed sequence.
"""

from __future__ import annotations

import copy
import math
import os
from bisect import bisect_left
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from accelerate.utils import DistributedType
from torch.nn.utils.rnn import pad_sequence
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, PreTrainedConfig, PreTrainedModel
from trl import GRPOConfig, GRPOTrainer

import recipes.attention  # noqa: F401, registers the attention "packed"
from recipes.batch_geometry import can_regroup_rows, merged_micro_batches

NO_LABEL = -100  # at positions whose next token is not scored
MEAN_OVER_ROWS = ("grpo", "sapo", "dr_grpo", "luspo")  # losses divided by the rows of a batch; the others by a constant
# Padded / packed tokens, below which the padding costs less than packing. With nothing to save, packing took 7 % longer on an
# H100 for 10,000 tokens and 23 % for 2,600, probably by kernel launches; at 1.14 and 9,600 tokens it was 6 % faster (LOG.md).
MIN_PADDING_RATIO = 1.25


def not_shareable(config: PreTrainedConfig, args: GRPOConfig, attn_implementation: str | None = None) -> list[str]:
    """What keeps the samples of a model from sharing their prompt in a packed sequence."""
    text, attention = config.get_text_config(), attn_implementation or config._attn_implementation or "sdpa"
    layers = {*(getattr(text, "layer_types", None) or ["sliding" if getattr(text, "sliding_window", 0) else "full_attention"])}
    model = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(text), PreTrainedModel)
    plain = model._supports_attention_backend and model._supports_sdpa and not model._is_stateful  # no sinks, no state
    coefficient = router_loss(config, args)
    reasons = {
        f"images ({config.model_type})": text is not config,
        f"attn_implementation: {attention} (leave it out)": attention != "sdpa",
        f"layers other than full attention ({text.model_type})": layers != {"full_attention"} or not plain,
        f"load balancing of experts (router_aux_loss_coef: {coefficient:g}; 0 turns it off)": coefficient != 0,
    }
    return [name for name, found in reasons.items() if found]


def packing_problems(
    config: PreTrainedConfig, args: GRPOConfig, packing: bool | str, attn_implementation: str | None = None
) -> list[str]:
    """What a model or a run needs that `packing` (auto or True) does not support, one sentence each."""
    names = [] if packing == "auto" else not_shareable(config, args, attn_implementation)
    ways = "packing: auto trains it without sharing prompts, packing: false gives stock TRL"
    problems = [f"packing does not support {name}; {ways}." for name in names]
    if args.fsdp or os.environ.get("ACCELERATE_USE_FSDP") == "true":
        problems.append("packing does not support FSDP (accelerate_configs/ has DeepSpeed); packing: false gives stock TRL.")
    if args.use_transformers_continuous_batching:  # use_transformers_paged sets it too
        problems.append("packing does not support use_transformers_continuous_batching; packing: false gives stock TRL.")
    return problems


def router_loss(config: PreTrainedConfig, args: GRPOConfig) -> float:
    """The weight of the load-balancing loss that TRL adds for a mixture of experts: the model's own unless given, or 0."""
    text = config.get_text_config()
    if not hasattr(text, "output_router_logits"):
        return 0.0
    return getattr(text, "router_aux_loss_coef", 0.0) if args.router_aux_loss_coef is None else args.router_aux_loss_coef


def set_router_loss(args: GRPOConfig, config: PreTrainedConfig) -> None:
    """Give `args` the weight of the load-balancing loss that the model's own config has, since batches depend on it."""
    args.router_aux_loss_coef = router_loss(config, args) or args.router_aux_loss_coef


def packing_note(packed_tokens: int | None, not_shareable: list[str], args: GRPOConfig) -> str:
    """How an optimizer step is computed, and why."""
    if packed_tokens is None:
        return "packing: stock TRL, as asked."
    if not not_shareable:
        return "packing: each prompt once for all of its samples; all of the model's attention is full."
    kept = "rows without an advantage dropped" if can_regroup_rows(args) else "stock TRL's micro-batches"
    return f"packing: rows apart, padding trimmed, {kept}. Prompts are not shared, because of {', '.join(not_shareable)}."


class SequencePacker:
    """Assigns rows to packed sequences, given their prompts and lengths.

    Args:
        prompt_ids, prompt_mask: (R, P), padded on the left.
        completion_mask: (R, C), padded on the right.

    Attributes:
        prompt: a number per row, equal for equal prompts.
        prompt_length, completion_length: in tokens, per row.
    """

    def __init__(self, prompt_ids: torch.Tensor, prompt_mask: torch.Tensor, completion_mask: torch.Tensor):
        self.prompt = torch.unique(prompt_ids.where(prompt_mask > 0, -1), dim=0, return_inverse=True)[1].tolist()
        self.prompt_length = prompt_mask.sum(1).tolist()
        self.completion_length = completion_mask.sum(1).tolist()

    def packed_length(self, sequence: list[int]) -> int:
        """The tokens of a packed sequence of these rows."""
        prompts = {self.prompt[row]: self.prompt_length[row] for row in sequence}
        return sum(prompts.values()) + sum(self.completion_length[row] for row in sequence)

    def in_order(self, rows: list[int]) -> list[int]:
        """Rows, those of a prompt next to each other."""
        return sorted(rows, key=lambda row: self.prompt[row])

    def fill(self, rows: list[int], capacity: int) -> list[list[int]]:
        """Cut rows, in order, into packed sequences of `capacity` tokens at most."""
        sequences, room = [], -1
        for row in rows:
            shares_prompt = bool(sequences) and self.prompt[row] == self.prompt[sequences[-1][-1]]
            needed = self.completion_length[row] + (0 if shares_prompt else self.prompt_length[row])
            if needed > room:
                sequences.append([])
                room, needed = capacity, self.completion_length[row] + self.prompt_length[row]
            sequences[-1].append(row)
            room -= needed
        return sequences

    def pack(self, rows: list[int], max_tokens: int, multiple: int = 1, at_least: int = 1) -> list[list[int]]:
        """Cut rows, in order, into packed sequences of `max_tokens` at most (a longer row gets its own sequence).

        The number of sequences is the smallest possible multiple of `multiple` that is at least `at_least` (some may be empty).
        With that number, the longest sequence is as short as this order of rows allows.
        """
        ordered = self.in_order(rows)
        longest = max((self.packed_length([row]) for row in ordered), default=0)
        capacities = range(longest, max(max_tokens, longest) + 1)
        count = -(-max(at_least, len(self.fill(ordered, capacities[-1])), 1) // multiple) * multiple
        smallest = bisect_left(capacities, True, key=lambda capacity: len(self.fill(ordered, capacity)) <= count)
        sequences = sorted(self.fill(ordered, capacities[smallest]), key=self.packed_length, reverse=True)
        return sequences + [[]] * (count - len(sequences))


class RowPacker(SequencePacker):
    """The same for rows that stay apart, each padded to the longest of its sequence."""

    def packed_length(self, sequence: list[int]) -> int:
        return len(sequence) * max((self.prompt_length[row] + self.completion_length[row] for row in sequence), default=0)

    def in_order(self, rows: list[int]) -> list[int]:
        """Rows, the longest first."""
        return sorted(rows, key=lambda row: self.prompt_length[row] + self.completion_length[row], reverse=True)

    def fill(self, rows: list[int], capacity: int) -> list[list[int]]:
        sequences, room = [], 0
        for row in rows:
            if not room:
                sequences.append([])
                room = max(capacity // max(self.packed_length([row]), 1), 1)
            sequences[-1].append(row)
            room -= 1
        return sequences


class PackedGRPOTrainer(GRPOTrainer):
    """GRPOTrainer that computes packed sequences, one at a time on each process.

    Args:
        packed_tokens: The most tokens of a packed sequence (or those of the longest row, if it has more); memory is needed for
            this many. None for stock TRL.
        packing: True to refuse a model whose samples cannot share their prompt; "auto" to keep its rows apart.

    Attributes:
        not_shareable: what keeps the samples from sharing their prompt, if anything does.

    Raises:
        ValueError: naming what packing does not support.
    """

    def __init__(self, model, *args, packed_tokens: int | None = 16384, packing: bool | str = "auto", **kwargs):
        self.packed_tokens, self.not_shareable = packed_tokens, []
        if packed_tokens is not None:
            kwargs["args"] = training_args = copy.copy(kwargs["args"])
            init, config = training_args.model_init_kwargs or {}, getattr(model, "config", None)
            config = config or AutoConfig.from_pretrained(model, revision=init.get("revision"), trust_remote_code=False)
            attention = init.get("attn_implementation")
            if problems := packing_problems(config, training_args, packing, attention):
                raise ValueError("\n".join(problems))
            self.not_shareable = not_shareable(config, training_args, attention)
            set_router_loss(training_args, config)
            if can_regroup_rows(training_args):  # a step's micro-batches become one, which `_regroup` divides by tokens instead
                for name, value in merged_micro_batches(training_args).items():
                    setattr(training_args, name, value)
        super().__init__(model, *args, **kwargs)
        if packed_tokens is not None and not self.not_shareable:
            for model in filter(None, (self.model, self.ref_model)):
                (model := self.accelerator.unwrap_model(model)).set_attn_implementation("packed")
                if model.config._attn_implementation != "packed":
                    self.not_shareable = [f"the attention of {type(model).__name__}"]
            if self.not_shareable and packing is True:
                raise ValueError(f"packing does not support {self.not_shareable[0]}; packing: auto keeps its rows apart.")

    def _get_per_token_logps_and_entropies(
        self, model, input_ids, attention_mask, logits_to_keep, batch_size=None, compute_entropy=False, **others
    ):
        """As stock TRL's, (R, C) each. With gradients, all rows form one packed sequence; without, as many as `packed_tokens`
        requires.

        Raises:
            ValueError: if the dataset has images.
        """
        stock = super()._get_per_token_logps_and_entropies
        if self.packed_tokens is None:
            return stock(model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **others)
        if others.get("pixel_values") is not None:
            raise ValueError("packing does not support images in the dataset; packing: false gives stock TRL.")
        router = {"output_router_logits": True} if others.get("compute_aux_loss") else {}
        sizes = [input_ids.size(1) - logits_to_keep, logits_to_keep]  # P, C
        (prompt_ids, completion_ids), (prompt_mask, mask) = (x.split(sizes, dim=1) for x in (input_ids, attention_mask))
        packer, rows = self.packer(prompt_ids, prompt_mask, mask), list(range(len(input_ids)))
        sequences = [packer.in_order(rows)]
        if not (torch.is_grad_enabled() or router):  # the same number on all processes: ZeRO-3 gathers the weights for each
            count = torch.tensor([len(packer.pack(rows, self.packed_tokens))], device=input_ids.device)
            sequences = packer.pack(rows, self.packed_tokens, at_least=int(self.accelerator.gather(count).max()))
        results, aux_loss = [], None
        for sequence in sequences:
            chosen = sequence or [0]  # with nothing left to compute, still take part in the collective calls
            prompt = max(packer.prompt_length[row] for row in chosen)
            completion = max([1, *(packer.completion_length[row] for row in chosen)])
            padded_length = len(chosen) * (prompt + completion)
            if not self.not_shareable and padded_length < MIN_PADDING_RATIO * packer.packed_length(chosen):
                columns = slice(sizes[0] - prompt, sizes[0] + completion)
                padded = input_ids[chosen, columns], attention_mask[chosen, columns]
                values = stock(model, *padded, completion, compute_entropy=compute_entropy)[:2]
            else:
                forward = self._padded_forward if self.not_shareable else self._packed_forward
                output, labels = forward(model, prompt_ids, completion_ids, packer, chosen, **router)
                aux_loss = output.aux_loss
                scored = mask[chosen, :completion].bool()  # (R, C)
                packed = [output.log_probs, output.entropy][: 1 + compute_entropy]
                values = [x.new_zeros(scored.shape).masked_scatter(scored, x[labels != NO_LABEL]) for x in packed]
            results.append([F.pad(x[: len(sequence)], (0, logits_to_keep - completion)) for x in values if x is not None])
        order = torch.tensor([row for sequence in sequences for row in sequence], device=input_ids.device).argsort()
        logps, entropies, *_ = [*(torch.cat(x)[order] for x in zip(*results, strict=True)), None]
        return logps, entropies, aux_loss

    @property
    def packer(self) -> type[SequencePacker]:
        return RowPacker if self.not_shareable else SequencePacker

    def _padded_forward(self, model, prompt_ids, completion_ids, packer: SequencePacker, sequence: list[int], **router):
        """The model's output for rows that stay apart, padded on the right, and the labels, (R, T) each."""
        ids, labels = [], []
        for row in sequence:
            prompt = prompt_ids[row, prompt_ids.size(1) - packer.prompt_length[row] :]
            completion = completion_ids[row, : packer.completion_length[row]]
            ids.append(torch.cat([prompt, completion]))
            labels.append(torch.cat([prompt[1:], completion, prompt[:1]]))
            labels[-1][: len(prompt) - 1] = labels[-1][-1] = NO_LABEL
        mask = pad_sequence([torch.ones_like(x) for x in ids], batch_first=True)
        ids, labels = pad_sequence(ids, batch_first=True), pad_sequence(labels, batch_first=True, padding_value=NO_LABEL)
        with self.accelerator.autocast():
            inputs = {"input_ids": ids, "attention_mask": mask, "shift_labels": labels}
            return model(**inputs, **router, fused_lm_head=True), labels

    def _packed_forward(self, model, prompt_ids, completion_ids, packer: SequencePacker, sequence: list[int]):
        """The model's output for a packed sequence, and the labels, (1, T) each.

        Args:
            prompt_ids, completion_ids: (R, P) and (R, C).
            sequence: the rows to pack, those of a prompt next to each other.
        """
        ids, labels, positions, packed, last_prompt = [], [], [], [], None  # `packed`: see recipes/attention.py
        for row in sequence:
            prompt = prompt_ids[row, prompt_ids.size(1) - packer.prompt_length[row] :]
            completion = completion_ids[row, : packer.completion_length[row]]
            prefix, length = len(prompt) - 1, max(len(completion), 1)  # an empty completion has one token and no label
            if packer.prompt[row] != last_prompt:
                ids.append(prompt[:-1])
                labels.append(torch.full_like(prompt[:-1], NO_LABEL))
                positions.append(torch.arange(prefix))
                packed.append((prefix, []))
                last_prompt = packer.prompt[row]
            ids += [prompt[-1:], completion[:-1]]
            labels.append(completion if len(completion) else torch.full_like(prompt[-1:], NO_LABEL))
            positions.append(torch.arange(prefix, prefix + length))
            packed[-1][1].append(length)
        ids, labels, positions = (torch.cat(x)[None].to(prompt_ids.device) for x in (ids, labels, positions))
        mask = positions.new_ones(1, 1, 1, 1)  # 4 dimensions: Transformers uses such a mask as it is
        with self.accelerator.autocast():
            inputs = {"input_ids": ids, "position_ids": positions, "attention_mask": mask, "shift_labels": labels}
            return model(**inputs, packed=packed, fused_lm_head=True), labels

    def _prepare_inputs(self, generation_batch):
        before, inputs = self._buffered_inputs, super()._prepare_inputs(generation_batch)
        if self._buffered_inputs is not before and self.packed_tokens is not None and can_regroup_rows(self.args):
            self._buffered_inputs = [self._regroup(step) for step in self._buffered_inputs]  # a new generation batch
            inputs = self._buffered_inputs[self._step % self.args.steps_per_generation]
        return inputs

    def _regroup(self, step: dict) -> list[dict]:
        """The rows of a step as batches of one packed sequence each, the same number on each process.

        Args:
            step: this process's tensors, (R, …).

        Returns:
            Batches like stock TRL's. All processes have the same number of rows in a batch: filler rows, which have no
            completion, make up the difference. Added to each batch: `loss_scale`, its rows per row of the step; and over all
            processes `rows`, how many are not filler (`real_rows`), and `tokens` of their completions.
        """
        gather, pad = self.accelerator.gather, self.accelerator.pad_across_processes
        gathered = {k: gather(pad(x, dim=1, pad_first=k.startswith("prompt"))) for k, x in step.items() if x.ndim}
        mask = gathered["completion_mask"] * gathered.get("tool_mask", 1)  # (R, C)
        has_gradient = mask.sum(1) > 0
        if self.beta == 0:
            has_gradient &= gathered["advantages"] != 0
        packer = self.packer(gathered["prompt_ids"], gathered["prompt_mask"], gathered["completion_mask"])
        processes = self.accelerator.num_processes
        sequences = packer.pack(has_gradient.nonzero()[:, 0].tolist(), self.packed_tokens, multiple=processes)
        batches = []
        for first in range(0, len(sequences), processes):
            at_once = sequences[first : first + processes]  # one on each process
            sequence, size = at_once[self.accelerator.process_index], max(1, *map(len, at_once))
            real_rows, chosen = len(sequence), sequence + [0] * (size - len(sequence))
            prompt = max([1, *(packer.prompt_length[row] for row in sequence)])
            completion = max([2, *(packer.completion_length[row] for row in sequence)])  # to TRL, 1 means a value per row
            batch = {key: x for key, x in step.items() if not x.ndim}
            for key, x in gathered.items():
                columns = slice(-prompt, None) if key.startswith("prompt") else slice(completion)
                batch[key] = x[chosen][:, columns] if x.ndim > 1 else x[chosen]
            batch["prompt_mask"][real_rows:, :-1] = 0
            for key, neutral in {"completion_mask": 0, "advantages": 0, "importance_sampling_ratio": 1}.items():
                if key in batch:
                    batch[key][real_rows:] = neutral
            batch["loss_scale"] = size / len(step["prompt_ids"])
            batch |= {"rows": size * processes, "real_rows": sum(map(len, at_once))}
            batch["tokens"] = sum(int(mask[rows].sum()) for rows in at_once)
            batches.append(batch)
        return batches

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if not isinstance(inputs, list):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        gradients, deepspeed = self.accelerator.gradient_state, self.accelerator.distributed_type == DistributedType.DEEPSPEED
        known = {key: len(values) for key, values in self._metrics["train"].items()}
        synchronise, total = gradients.sync_gradients, 0.0
        for batch in inputs:
            last = batch is inputs[-1]
            gradients._set_sync_gradients(synchronise and last)
            with nullcontext() if last or deepspeed else self.accelerator.no_sync(model):
                loss = super().compute_loss(model, batch)
                if self.loss_type in MEAN_OVER_ROWS:
                    loss = loss * batch["loss_scale"]  # divided by the rows of the step, as in stock TRL
                if not last:
                    self.accelerator.backward(loss, **({"scale_wrt_gas": False} if deepspeed else {}))
                    total += loss.detach()
        self._merge_metrics(known, inputs)
        return loss + total

    def _merge_metrics(self, known: dict[str, int], batches: list[dict]) -> None:
        """Replace the values that the batches of a step have added to a metric with one: their mean, minimum or maximum.

        Args:
            known: for each metric, how many values it had before the step.
        """
        by_row = self.importance_sampling_level == "sequence" or self.loss_type == "vespo"
        for key, values in self._metrics["train"].items():
            added = list(zip(values[known.get(key, 0) :], batches, strict=False))
            if not added:
                continue
            if key.endswith(("_min", "_max")):
                one = (min if key.endswith("_min") else max)((x for x, _ in added if not math.isnan(x)), default=math.nan)
            else:  # a filler row is not clipped, and has a VESPO weight of 1
                weight, count = ("rows", "real_rows") if by_row and key not in ("entropy", "kl") else ("tokens", "tokens")
                filler = sum(batch["rows"] - batch["real_rows"] for batch in batches) if key.startswith("vespo") else 0
                total = sum(batch[count] for batch in batches)
                one = (sum(x * batch[weight] for x, batch in added) - filler) / total if total else math.nan
            values[known.get(key, 0) :] = [one]
