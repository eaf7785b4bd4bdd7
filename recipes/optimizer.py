"""Muon for the hidden matrices of a model that is trained whole on one process or with DDP; and what AdamW refuses."""

from __future__ import annotations

import torch
from transformers import TrainingArguments


class MuonAdamW(torch.optim.Optimizer):
    """torch.optim.Muon for the hidden matrices and AdamW for all other weights, as one optimizer.

    The tiny model learned faster with it than with AdamW alone, by imitation and with GRPO (LOG.md). Muon's update is scaled to
    the size of AdamW's, so that their learning rates are comparable (Liu et al. 2025, arXiv:2502.16982).

    Args:
        muon_learning_rate: of the hidden matrices. `args.learning_rate` is for all other weights.
    """

    def __init__(self, model: torch.nn.Module, muon_learning_rate: float, args: TrainingArguments):
        trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        hidden = [p for name, p in trained if p.ndim == 2 and "embed" not in name and "lm_head" not in name]
        rest = [p for name, p in trained if p.ndim != 2 or "embed" in name or "lm_head" in name]
        decay, betas = args.weight_decay, (args.adam_beta1, args.adam_beta2)
        self.optimizers = []
        if hidden:
            muon = torch.optim.Muon(hidden, lr=muon_learning_rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
            self.optimizers.append(muon)
        if rest:  # LoRA may leave nothing else to train
            self.optimizers.append(torch.optim.AdamW(rest, lr=args.learning_rate, betas=betas, weight_decay=decay))
        super().__init__([group for optimizer in self.optimizers for group in optimizer.param_groups], {})

    def step(self, closure=None):
        for optimizer, group in zip(self.optimizers, self.param_groups, strict=True):
            # Both work on this optimizer's groups and state, which a scheduler changes and a checkpoint saves and restores.
            optimizer.param_groups, optimizer.state = [group], self.state
            optimizer.step()


def optimizer_problems(args: TrainingArguments) -> list[str]:
    """Values that the optimizer would refuse only once the model is loaded."""
    try:
        torch.optim.AdamW(
            [torch.zeros(1)], args.learning_rate, (args.adam_beta1, args.adam_beta2), args.adam_epsilon, args.weight_decay
        )
    except ValueError as error:
        return [f"{error}, the optimizer says: give a possible value, or leave it out."]
    return []
