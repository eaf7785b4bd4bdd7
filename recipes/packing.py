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
entropy bonus, top_entropy_quantile), rows stay in stock's micro-batches and packing happens within them. Rows with little
padding are left padded.

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
from transformers import PreTrainedConfig
from trl import GRPOConfig, GRPOTrainer

import recipes.attention  # noqa: F401, registers the attention "packed"
from recipes.batch_geometry import can_regroup_rows, merged_micro_batches

NO_LABEL = -100  # at positions whose next token is not scored
MEAN_OVER_ROWS = ("grpo", "sapo", "dr_grpo", "luspo")  # losses divided by the rows of a batch; the others by a constant
# Padded / packed tokens, below which the padding costs less than packing. With nothing to save, packing took 7 % longer on an
# H100 for 10,000 tokens and 23 % for 2,600, probably by kernel launches; at 1.14 and 9,600 tokens it was 6 % faster (LOG.md).
MIN_PADDING_RATIO = 1.25


def packing_problems(config: PreTrainedConfig, args: GRPOConfig, attn_implementation: str | None = None) -> list[str]:
    """What a model or a run needs that packing does not support, one sentence each."""
    text, attention = config.get_text_config(), attn_implementation or config._attn_implementation or "sdpa"
    layers = {*(getattr(text, "layer_types", None) or ["sliding" if getattr(text, "sliding_window", 0) else "full_attention"])}
    balancing = getattr(text, "router_aux_loss_coef", 0) if args.router_aux_loss_coef is None else args.router_aux_loss_coef
    unsupported = {
        f"images ({config.model_type})": text is not config,
        f"attn_implementation: {attention} (leave it out)": attention != "sdpa",
        f"layers other than full attention ({text.model_type})": layers != {"full_attention"},
        f"load balancing of experts (router_aux_loss_coef: {balancing:g}; 0 turns it off)": balancing != 0,
        "FSDP (accelerate_configs/ has DeepSpeed)": args.fsdp or os.environ.get("ACCELERATE_USE_FSDP") == "true",
    }
    return [f"packing does not support {name}; packing: false gives stock TRL." for name, used in unsupported.items() if used]


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

    def pack(self, rows: list[int], max_tokens: int, multiple: int = 1, at_least: int = 1) -> list[list[int]]:
        """Cut rows, sorted by prompt, into packed sequences of `max_tokens` at most (a longer row gets its own sequence).

        The number of sequences is the smallest possible multiple of `multiple` that is at least `at_least` (some may be empty).
        With that number, the longest sequence is as short as this order of rows allows.
        """
        by_prompt = sorted(rows, key=lambda row: self.prompt[row])

        def fill(capacity: int) -> list[list[int]]:
            sequences, room = [], -1
            for row in by_prompt:
                shares_prompt = bool(sequences) and self.prompt[row] == self.prompt[sequences[-1][-1]]
                needed = self.completion_length[row] + (0 if shares_prompt else self.prompt_length[row])
                if needed > room:
                    sequences.append([])
                    room, needed = capacity, self.completion_length[row] + self.prompt_length[row]
                sequences[-1].append(row)
                room -= needed
            return sequences

        longest = max((self.packed_length([row]) for row in by_prompt), default=0)
        capacities = range(longest, max(max_tokens, longest) + 1)
        count = -(-max(at_least, len(fill(capacities[-1])), 1) // multiple) * multiple
        smallest = bisect_left(capacities, True, key=lambda capacity: len(fill(capacity)) <= count)
        sequences = sorted(fill(capacities[smallest]), key=self.packed_length, reverse=True)
        return sequences + [[]] * (count - len(sequences))


class PackedGRPOTrainer(GRPOTrainer):
    """GRPOTrainer that computes packed sequences, one at a time on each process.

    Args:
        packed_tokens: The most tokens of a packed sequence (or those of the longest row, if it has more); memory is needed for
            this many. None for stock TRL.

    Raises:
        ValueError: naming what packing does not support.
    """

    def __init__(self, *args, packed_tokens: int | None = 16384, **kwargs):
        self.packed_tokens = packed_tokens
        if packed_tokens is not None:
            kwargs["args"] = config = copy.copy(kwargs["args"])
            if can_regroup_rows(config):  # the micro-batches of a step become one, which `_regroup` divides by tokens instead
                for name, value in merged_micro_batches(config).items():
                    setattr(config, name, value)
        super().__init__(*args, **kwargs)
        if packed_tokens is not None:
            problems = packing_problems(self.model.config, self.args)
            for model in filter(None, (self.model, self.ref_model)):
                (model := self.accelerator.unwrap_model(model)).set_attn_implementation("packed")
                if model.config._attn_implementation != "packed":
                    problems.append(f"packing does not support the attention of {type(model).__name__}.")
            if problems:
                raise ValueError("\n".join(problems))

    def _get_per_token_logps_and_entropies(
        self, model, input_ids, attention_mask, logits_to_keep, batch_size=None, compute_entropy=False, **others
    ):
        """As stock TRL's, (R, C) each. With gradients, all rows form one packed sequence; without, as many as `packed_tokens`
        requires.
        """
        stock = super()._get_per_token_logps_and_entropies
        if self.packed_tokens is None:
            return stock(model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **others)
        sizes = [input_ids.size(1) - logits_to_keep, logits_to_keep]  # P, C
        (prompt_ids, completion_ids), (prompt_mask, mask) = (x.split(sizes, dim=1) for x in (input_ids, attention_mask))
        packer, rows = SequencePacker(prompt_ids, prompt_mask, mask), list(range(len(input_ids)))
        sequences = [sorted(rows, key=lambda row: packer.prompt[row])]
        if not torch.is_grad_enabled():  # the same number on all processes, since ZeRO-3 gathers the weights for each
            count = torch.tensor([len(packer.pack(rows, self.packed_tokens))], device=input_ids.device)
            sequences = packer.pack(rows, self.packed_tokens, at_least=int(self.accelerator.gather(count).max()))
        results = []
        for sequence in sequences:
            chosen = sequence or [0]  # with nothing left to compute, still take part in the collective calls
            prompt = max(packer.prompt_length[row] for row in chosen)
            completion = max([1, *(packer.completion_length[row] for row in chosen)])
            if len(chosen) * (prompt + completion) < MIN_PADDING_RATIO * packer.packed_length(chosen):
                columns = slice(sizes[0] - prompt, sizes[0] + completion)
                padded = input_ids[chosen, columns], attention_mask[chosen, columns]
                values = stock(model, *padded, completion, compute_entropy=compute_entropy)[:2]
            else:
                output, labels = self._packed_forward(model, prompt_ids, completion_ids, packer, chosen)  # (1, T)
                scored = mask[chosen, :completion].bool()  # (R, C)
                packed = [output.log_probs, output.entropy][: 1 + compute_entropy]
                values = [x.new_zeros(scored.shape).masked_scatter(scored, x[labels != NO_LABEL]) for x in packed]
            results.append([F.pad(x[: len(sequence)], (0, logits_to_keep - completion)) for x in values if x is not None])
        order = torch.tensor([row for sequence in sequences for row in sequence], device=input_ids.device).argsort()
        logps, entropies, *_ = [*(torch.cat(x)[order] for x in zip(*results, strict=True)), None]
        return logps, entropies, None

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
        packer = SequencePacker(gathered["prompt_ids"], gathered["prompt_mask"], gathered["completion_mask"])
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
