"""A GRPO step without repeated prompts, without padding, without responses that teach nothing: the same gradient, sooner.

Stock TRL gives every completion a copy of its prompt and pads it to the longest of the generation batch. Here the rows of a
prompt meet in one packed sequence, where each completion sees the prompt and itself (as in arXiv:2506.05433):

    stock                               packed                       who sees whom      P   a   b   c
      P P P P P P a a a . . . . .                                                   P   ◣
      P P P P P P b b b b b b b b         P P P P P a a a b b b b b b b b c c       a   ■   ◣
      P P P P P P c c . . . . . .                                                   b   ■       ◣
      3 × 14 = 42 positions               5 + 3 + 8 + 2 = 18 positions              c   ■           ◣

The prompt's last token predicts the first token of a completion, so each completion starts with a copy of it and leaves out
its own last token. Positions go on from the prompt's in each completion. What an optimizer step computes:

    rows of all processes ─► drop those without a gradient ─► put those of a prompt together ─► cut into packed sequences, as
    many on each process, about equally long, of `packed_tokens` at most ─► forward and backward of one after the other

A step has the rows that stock TRL has in it, so its gradient is stock's, up to rounding; its metrics are those of stock TRL
with the step as one micro-batch, over the rows that are left. Where a loss is a ratio of sums over a micro-batch (bnpo, an
entropy bonus, top_entropy_quantile), packing is within stock's micro-batches. Rows with little padding are left padded.
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
from recipes.geometry import merged_micro_batches, sums_over_rows

NO_LABEL = -100  # of positions whose next token is not scored
MEAN_OVER_ROWS = ("grpo", "sapo", "dr_grpo", "luspo")  # losses divided by the rows of a batch; others by a constant
WORTH_PACKING = 1.25  # of padded to packed tokens: below it, attention in many calls costs more than padding (LOG.md)


def unsupported(config: PreTrainedConfig, args: GRPOConfig, attn_implementation: str | None = None) -> list[str]:
    """What packing does not support of a model and a run, by name."""
    text, attention = config.get_text_config(), attn_implementation or config._attn_implementation or "sdpa"
    layers = {*(getattr(text, "layer_types", None) or ["sliding" if getattr(text, "sliding_window", 0) else "full_attention"])}
    balance = getattr(text, "router_aux_loss_coef", 0) if args.router_aux_loss_coef is None else args.router_aux_loss_coef
    refused = {
        f"images ({config.model_type})": text is not config,
        f"attn_implementation: {attention} (leave it out)": attention != "sdpa",
        f"layers other than full attention ({text.model_type})": layers != {"full_attention"},
        f"load balancing of experts (router_aux_loss_coef: {balance:g}; 0 turns it off)": balance != 0,
        "FSDP (accelerate_configs/ has DeepSpeed)": args.fsdp or os.environ.get("ACCELERATE_USE_FSDP") == "true",
    }
    return [f"packing does not support {name}; packing: false gives stock TRL." for name, is_so in refused.items() if is_so]


class Rows:
    """What the packing must know of (rows, tokens) tensors, prompts padded on the left and completions on the right.

    Attributes:
        prompt: an identity of each row's prompt.
        prompt_length, length: tokens of each row's prompt and completion.
    """

    def __init__(self, prompt_ids: torch.Tensor, prompt_mask: torch.Tensor, completion_mask: torch.Tensor):
        self.prompt = torch.unique(prompt_ids.where(prompt_mask > 0, -1), dim=0, return_inverse=True)[1].tolist()
        self.prompt_length = prompt_mask.sum(1).tolist()
        self.length = completion_mask.sum(1).tolist()

    def tokens(self, sequence: list[int]) -> int:
        """Tokens of a packed sequence of these rows."""
        prompts = {self.prompt[row]: self.prompt_length[row] for row in sequence}
        return sum(prompts.values()) + sum(self.length[row] for row in sequence)

    def cut(self, rows: list[int], budget: int, multiple: int = 1, least: int = 1) -> list[list[int]]:
        """Cut rows into packed sequences: as few as `budget` tokens each allow, or as many as the longest row has, if that is
        more; `least` or more and a `multiple` in number; the longest of them as short as can be with the rows in one line.
        """
        line = sorted(rows, key=lambda row: self.prompt[row])

        def fill(capacity: int) -> list[list[int]]:
            sequences, room = [], -1
            for row in line:
                shared = bool(sequences) and self.prompt[row] == self.prompt[sequences[-1][-1]]
                need = self.length[row] + (0 if shared else self.prompt_length[row])
                if need > room:
                    sequences.append([])
                    room, need = capacity, self.length[row] + self.prompt_length[row]
                sequences[-1].append(row)
                room -= need
            return sequences

        longest = max((self.tokens([row]) for row in line), default=0)
        capacities = range(longest, max(budget, longest) + 1)
        count = -(-max(least, len(fill(capacities[-1])), 1) // multiple) * multiple
        fits = bisect_left(capacities, True, key=lambda capacity: len(fill(capacity)) <= count)
        sequences = sorted(fill(capacities[fits]), key=self.tokens, reverse=True)
        return sequences + [[]] * (count - len(sequences))


class PackedGRPOTrainer(GRPOTrainer):
    """GRPOTrainer that computes packed sequences.

    Args:
        packed_tokens: Most tokens of a packed sequence (or those of the longest row, if it has more), which is what memory is
            needed for: on each process one of them goes forward and backward at a time. None for stock TRL.

    Raises:
        ValueError: for what it does not support, by name.
    """

    def __init__(self, *args, packed_tokens: int | None = 16384, **kwargs):
        self.packed_tokens = packed_tokens
        if packed_tokens is not None:
            kwargs["args"] = config = copy.copy(kwargs["args"])
            if sums_over_rows(config):  # the micro-batches of a step become one, which `_regroup` divides by tokens instead
                for name, value in merged_micro_batches(config).items():
                    setattr(config, name, value)
        super().__init__(*args, **kwargs)
        if packed_tokens is not None:
            refusals = unsupported(self.model.config, self.args)
            for model in filter(None, (self.model, self.ref_model)):
                (model := self.accelerator.unwrap_model(model)).set_attn_implementation("packed")
                if model.config._attn_implementation != "packed":
                    refusals.append(f"packing does not support the attention of {type(model).__name__}.")
            if refusals:
                raise ValueError("\n".join(refusals))

    def _get_per_token_logps_and_entropies(
        self, model, input_ids, attention_mask, logits_to_keep, batch_size=None, compute_entropy=False, **others
    ):
        """As stock TRL's: from one packed sequence if there are gradients, else from as many as `packed_tokens` asks for."""
        stock = super()._get_per_token_logps_and_entropies
        if self.packed_tokens is None:
            return stock(model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **others)
        sizes = [input_ids.size(1) - logits_to_keep, logits_to_keep]
        (prompt_ids, ids), (prompt_mask, mask) = (x.split(sizes, dim=1) for x in (input_ids, attention_mask))
        rows, every = Rows(prompt_ids, prompt_mask, mask), list(range(len(ids)))
        sequences = [sorted(every, key=lambda row: rows.prompt[row])]
        if not torch.is_grad_enabled():  # equal in number on all processes, since ZeRO-3 gathers the weights for each
            count = torch.tensor([len(rows.cut(every, self.packed_tokens))], device=ids.device)
            sequences = rows.cut(every, self.packed_tokens, least=int(self.accelerator.gather(count).max()))
        parts = []
        for sequence in sequences:
            some = sequence or [0]  # with nothing left to do, go along
            prompt, length = max(rows.prompt_length[row] for row in some), max([1, *(rows.length[row] for row in some)])
            if len(some) * (prompt + length) < WORTH_PACKING * rows.tokens(some):
                width = slice(sizes[0] - prompt, sizes[0] + length)
                x, seen = input_ids[some, width], attention_mask[some, width]
                found = stock(model, x, seen, length, compute_entropy=compute_entropy)[:2]
            else:
                output, labels = self._packed_forward(model, prompt_ids, ids, rows, some)
                scored, values = mask[some, :length].bool(), [output.log_probs, output.entropy][: 1 + compute_entropy]
                found = [x.new_zeros(scored.shape).masked_scatter(scored, x[labels != NO_LABEL]) for x in values]
            parts.append([F.pad(x[: len(sequence)], (0, logits_to_keep - length)) for x in found if x is not None])
        order = torch.tensor([row for sequence in sequences for row in sequence], device=ids.device).argsort()
        logps, entropies, *_ = [*(torch.cat(x)[order] for x in zip(*parts, strict=True)), None]
        return logps, entropies, None

    def _packed_forward(self, model, prompt_ids, completion_ids, rows: Rows, sequence: list[int]):
        """The model's output for a packed sequence, and its labels, (1, tokens)."""
        ids, labels, positions, packed, last_prompt = [], [], [], [], None
        for row in sequence:
            prompt = prompt_ids[row, prompt_ids.size(1) - rows.prompt_length[row] :]
            completion = completion_ids[row, : rows.length[row]]
            prefix, length = len(prompt) - 1, max(len(completion), 1)  # an empty completion has one token, and no label
            if rows.prompt[row] != last_prompt:
                ids.append(prompt[:-1])
                labels.append(torch.full_like(prompt[:-1], NO_LABEL))
                positions.append(torch.arange(prefix))
                packed.append((prefix, []))
                last_prompt = rows.prompt[row]
            ids += [prompt[-1:], completion[:-1]]
            labels.append(completion if len(completion) else torch.full_like(prompt[-1:], NO_LABEL))
            positions.append(torch.arange(prefix, prefix + length))
            packed[-1][1].append(length)
        ids, labels, positions = (torch.cat(x)[None].to(prompt_ids.device) for x in (ids, labels, positions))
        mask = positions.new_ones(1, 1, 1, 1)  # four dimensions: Transformers takes it for one that needs no making
        with self.accelerator.autocast():
            inputs = {"input_ids": ids, "position_ids": positions, "attention_mask": mask, "shift_labels": labels}
            return model(**inputs, packed=packed, fused_lm_head=True), labels

    def _prepare_inputs(self, generation_batch):
        before, inputs = self._buffered_inputs, super()._prepare_inputs(generation_batch)
        if self._buffered_inputs is not before and self.packed_tokens is not None and sums_over_rows(self.args):
            self._buffered_inputs = [self._regroup(step) for step in self._buffered_inputs]  # a new generation batch
            inputs = self._buffered_inputs[self._step % self.args.steps_per_generation]
        return inputs

    def _regroup(self, step: dict) -> list[dict]:
        """The rows of a step, (rows of a process, …) tensors, as batches of one packed sequence each, as many on each process.

        They are stock TRL's batches, with as many rows on each process, filled up with some that have no completion. And:
        `share`, their rows per row of the step; of all processes: `rows`, how many are `real`, `tokens` of completions.
        """
        gather, pad = self.accelerator.gather, self.accelerator.pad_across_processes
        every = {k: gather(pad(x, dim=1, pad_first=k.startswith("prompt"))) for k, x in step.items() if x.ndim}
        mask = every["completion_mask"] * every.get("tool_mask", 1)
        teaches = mask.sum(1) > 0
        if self.beta == 0:
            teaches &= every["advantages"] != 0
        rows = Rows(every["prompt_ids"], every["prompt_mask"], every["completion_mask"])
        processes = self.accelerator.num_processes
        sequences = rows.cut(teaches.nonzero()[:, 0].tolist(), self.packed_tokens, multiple=processes)
        batches = []
        for first in range(0, len(sequences), processes):
            at_once = sequences[first : first + processes]  # on all processes
            sequence, most = at_once[self.accelerator.process_index], max(1, *map(len, at_once))
            real, filled = len(sequence), sequence + [0] * (most - len(sequence))
            prompt = max([1, *(rows.prompt_length[row] for row in sequence)])
            completion = max([2, *(rows.length[row] for row in sequence)])  # a single column means one value a row to TRL
            batch = {key: x for key, x in step.items() if not x.ndim}
            for key, x in every.items():
                width = slice(-prompt, None) if key.startswith("prompt") else slice(completion)
                batch[key] = x[filled][:, width] if x.ndim > 1 else x[filled]
            batch["prompt_mask"][real:, :-1] = 0
            for key, nothing in {"completion_mask": 0, "advantages": 0, "importance_sampling_ratio": 1}.items():
                if key in batch:
                    batch[key][real:] = nothing
            batch |= {"share": most / len(step["prompt_ids"]), "rows": most * processes, "real": sum(map(len, at_once))}
            batches.append({**batch, "tokens": sum(int(mask[rows_of].sum()) for rows_of in at_once)})
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
                    loss = loss * batch["share"]  # stock's divisor: the rows of the step
                if not last:
                    self.accelerator.backward(loss, **({"scale_wrt_gas": False} if deepspeed else {}))
                    total += loss.detach()
        self._merge_metrics(known, inputs)
        return loss + total

    def _merge_metrics(self, known: dict[str, int], batches: list[dict]) -> None:
        """Make one value of what each batch of a step has added to a metric: its mean, minimum or maximum over the step."""
        by_row = self.importance_sampling_level == "sequence" or self.loss_type == "vespo"
        for key, values in self._metrics["train"].items():
            added = list(zip(values[known.get(key, 0) :], batches, strict=False))
            if not added:
                continue
            if key.endswith(("_min", "_max")):
                one = (min if key.endswith("_min") else max)((x for x, _ in added if not math.isnan(x)), default=math.nan)
            else:  # a row that fills up is not clipped, and has a VESPO weight of 1
                weight, count = ("rows", "real") if by_row and key not in ("entropy", "kl") else ("tokens", "tokens")
                filling = sum(batch["rows"] - batch["real"] for batch in batches) if key.startswith("vespo") else 0
                total = sum(batch[count] for batch in batches)
                one = (sum(x * batch[weight] for x, batch in added) - filling) / total if total else math.nan
            values[known.get(key, 0) :] = [one]
