"""The optimizer: Muon for the hidden matrices of a model that is trained whole on one process or with DDP; and what is refused
before a run starts.
"""

from __future__ import annotations

import torch
from transformers import Trainer, TrainingArguments, get_scheduler


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
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        super().__init__(groups, {"lr": args.learning_rate})  # polynomial decay asks for it

    def step(self, closure=None):
        for optimizer, group in zip(self.optimizers, self.param_groups, strict=True):
            # Both work on this optimizer's groups and state, which a scheduler changes and a checkpoint saves and restores.
            optimizer.param_groups, optimizer.state = [group], self.state
            optimizer.step()


def optimizer_problems(args: TrainingArguments, muon_learning_rate: float | None = None) -> list[str]:
    """What the optimizer, or the schedule of its learning rate, would refuse only once the model is loaded."""
    if muon_learning_rate is not None and (args.optim != TrainingArguments.default_optim or args.optim_args):
        return [f"optim: {args.optim.value} has no effect with muon_learning_rate: leave out optim and optim_args, or that."]
    if args.optim_target_modules or "lomo" in args.optim:  # an optimizer that needs the model itself
        return []
    chosen, steps = f"optim: {args.optim.value}", max(args.max_steps, 1)
    try:
        optimizer_class, values = Trainer.get_optimizer_cls_and_kwargs(args)
        optimizer = optimizer_class([{"params": [torch.zeros(1)], "weight_decay": args.weight_decay}], **values)
        chosen = f"lr_scheduler_type: {args.lr_scheduler_type.value}"
        get_scheduler(args.lr_scheduler_type, optimizer, args.get_warmup_steps(steps), steps, args.lr_scheduler_kwargs or None)
    except (ValueError, TypeError, ImportError) as error:
        return [f"{chosen} rejects an option ({str(error).rstrip('.')}): change it, or leave it out."]
    return []
