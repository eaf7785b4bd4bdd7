"""The packed GRPOTrainer with what a long run needs: an order of puzzles that survives resuming, a curriculum, held-out scores
by difficulty, variants of the objective, LoRA weights merged for vLLM layer by layer, and checkpoints and a best model that are
complete or not there.
"""

from __future__ import annotations

import math
import os
import random
import shutil
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import gather_object, is_peft_model
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.layer import ParamWrapper
from peft.utils.integrations import dequantize_bnb_weight, get_bnb_param_type
from safetensors import SafetensorError
from torch.utils.data import Sampler
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from trl.generation import vllm_generation
from trl.trainer.utils import RepeatSampler

from puzzles.difficulty import BANDS
from puzzles.files import write_json
from puzzles.messages import text_of
from recipes.advantages import best_of_k_advantages
from recipes.alarms import SAMPLING_ERROR
from recipes.checkpoints import (
    BEST,
    HELD_OUT_ACCURACY,
    EndsAtLastStep,
    best_model,
    delete_checkpoints_except,
    mark_complete,
    mark_incomplete,
)
from recipes.optimizer import MuonAdamW
from recipes.packing import PackedGRPOTrainer
from rewards.thinking import opens_thinking, without_thinking

vllm_generation.is_bitsandbytes_available = lambda: False  # nor is it in vLLM since 0.28: it gets the weights in 16 bits


class EpochSampler(RepeatSampler):
    """TRL's RepeatSampler, except that the order of an epoch depends only on the seed and the epoch.

    TRL 1.16.0 draws the orders of all epochs from one generator, so a run resumed in epoch 1 sees epoch 0's order again.
    """

    def __init__(self, trainer: PuzzleTrainer, dataset, batch_size: int, repeat_count: int):
        super().__init__(dataset, trainer.num_generations, batch_size, repeat_count, seed=trainer.args.seed)
        self.trainer = trainer

    def __iter__(self):
        # Not by set_epoch: with several processes it does not reach the sampler of a resumed run.
        epoch = int(self.trainer.state.epoch or 0)
        self.generator.manual_seed(self.seed + epoch)
        order = torch.randperm(self.num_samples, generator=self.generator).tolist()
        if self.trainer.curriculum and epoch == 0:
            bands, difficulty = self.trainer.curriculum_bands(), list(self.data_source["difficulty"])
            order.sort(key=lambda i: bands.index(difficulty[i]))
        for first in range(0, len(order) - self.batch_size + 1, self.batch_size):
            for _ in range(self.repeat_count):
                for i in order[first : first + self.batch_size]:
                    yield from [i] * self.mini_repeat_count


def as_in_checkpoints(
    model: PreTrainedModel, weights: Iterable[tuple[str, torch.Tensor]]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Weights under the names and in the shapes that a checkpoint has, which are those that vLLM reads.

    In memory Transformers renames some and stacks those of experts. TRL 1.16.0 sends vLLM what is in memory.
    """
    for name, weight in weights:
        yield from revert_weight_conversion(model, {name: weight}).items()


class PuzzleTrainer(EndsAtLastStep, PackedGRPOTrainer):
    """GRPOTrainer for puzzles, packed (recipes/packing.py).

    Args:
        curriculum, best_of_k, refill_groups, learning_rate_power, learning_rate_rows, muon_learning_rate: see
            recipes/arguments.py.
    """

    def __init__(
        self,
        *args,
        curriculum: str | None = None,
        best_of_k: int = 1,
        refill_groups: int = 0,
        learning_rate_power: float = 0.0,
        learning_rate_rows: int | None = None,
        muon_learning_rate: float | None = None,
        **kwargs,
    ):
        self.curriculum, self.best_of_k, self.refill_groups = curriculum, best_of_k, refill_groups
        self.learning_rate_power, self.learning_rate_rows = learning_rate_power, learning_rate_rows
        self.muon_learning_rate = muon_learning_rate
        self.learning_rate_factor = 1.0  # of the current generation
        self.held_out_scores: list[tuple] = []  # of each puzzle of an evaluation: band; mean, best and variance of its samples
        super().__init__(*args, **kwargs)
        if getattr(self.model, "is_loaded_in_4bit", False):  # TRL trains the adapter in bfloat16, where most updates are lost
            for parameter in self.model.parameters():
                if parameter.requires_grad:
                    parameter.data = parameter.data.float()
        self.best_accuracy = best_model(Path(self.args.output_dir)).get("accuracy", -1.0)  # of a run that is resumed
        lora = self.model.active_peft_config if is_peft_model(self.model) else None
        if self.use_vllm:
            merged = lora and not (lora.use_dora or lora.modules_to_save)
            weights = self._merged_weights if merged else self.vllm_generation._iter_named_params
            base = self.model.get_base_model() if lora else self.model
            self.vllm_generation._iter_named_params = lambda: as_in_checkpoints(base, weights())
            for module in base.modules():  # vLLM has patched the classes that it runs too, such as Olmo3Model, and reads this
                module.do_not_compile = True

    def _merged_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The weights of a LoRA model with the adapter added, under the base model's names, gathering one layer at a time.

        TRL 1.16.0 gathers the whole model on every GPU instead, 61 GiB for 32B (huggingface/trl#5766).
        """
        base, adapted = self.model.get_base_model(), {}
        for module in base.modules():
            if isinstance(module, LoraLayer):  # of a linear layer, or of one tensor of a mixture's experts
                weight = module.get_param() if isinstance(module, ParamWrapper) else module.get_base_layer().weight
                adapted[id(weight)] = module
        for name, parameter in base.named_parameters():  # tied weights once, as vLLM expects them
            if self.model.prefix in name:
                continue
            module = adapted.get(id(parameter))
            own = [p for key, p in module.named_parameters() if not key.startswith("base_layer.")] if module else []
            with self._dist.gather_params([parameter, *own]):
                weight = dequantize_bnb_weight(parameter) if get_bnb_param_type(parameter) else parameter.data
                if module:
                    weight = weight + sum(map(module.get_delta_weight, module.active_adapters)).to(weight.dtype)
                yield name.replace(".base_layer", ""), weight

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        if self.optimizer is None and self.muon_learning_rate is not None:
            self.optimizer = MuonAdamW(model or self.model, self.muon_learning_rate, self.args)
        return super().create_optimizer(model)

    def _get_train_sampler(self, dataset=None) -> Sampler:
        batch_size = self.args.generation_batch_size // self.num_generations
        repeat_count = self.num_iterations * self.args.steps_per_generation
        return EpochSampler(self, self.train_dataset if dataset is None else dataset, batch_size, repeat_count)

    def curriculum_bands(self) -> list[str]:
        """The difficulty bands in the order of the curriculum. A band's pass rate is its held-out accuracy before training."""
        if self.curriculum == "depth":
            return list(BANDS)
        before = next(log for log in self.state.log_history if HELD_OUT_ACCURACY in log)
        return sorted(BANDS, key=lambda band: -before.get(f"eval_accuracy/{band}", -1))

    def _generate_single_turn(self, *args, **kwargs):
        """As stock TRL's, with weights that are trained in float32 cast to 16 bits once, not anew for every token."""
        with nullcontext() if self.use_vllm else self.accelerator.autocast():  # whose cache lasts until the outermost one ends
            return super()._generate_single_turn(*args, **kwargs)

    def _generate(self, prompts):
        """As stock TRL's, with `refill_groups`."""
        *outputs, images, tool_images = super()._generate(prompts)
        if self.model.training and self.refill_groups:
            self._metrics["train"]["refilled_groups"].append(self._refill(prompts, outputs))
        return *outputs, images, tool_images

    def _refill(self, prompts: list, outputs: list) -> int:
        """Replace puzzles whose samples all earn the same, in place, in up to `refill_groups` rounds. Returns how many.

        Dynamic sampling (Yu et al. 2025, arXiv:2503.14476), except that what still teaches nothing after the last round stays.
        All processes draw the same puzzles, which depend on the seed, the optimizer step and the round, and share the sampling.

        Args:
            prompts, outputs: of this process's rows; `outputs` as `_generate` returns them, without the images.
        """
        size, processes, process = self.num_generations, self.accelerator.num_processes, self.accelerator.process_index
        refilled, multiple = 0, processes // math.gcd(size, processes)  # whole groups that divide evenly over the processes
        for round_number in range(self.refill_groups):
            _, completion_ids, _, completions, *_ = outputs
            self._calculate_rewards(self.rows, prompts, completions, completion_ids)
            for logged in (self._pending_extra_logs, self._pending_metrics):  # TRL grades, and logs, once more
                logged.clear()
            rewards = self._rewards_of_groups()
            useless = (rewards.amax(dim=1) == rewards.amin(dim=1)).nonzero()[:, 0].tolist()
            if not useless:
                break
            draw = random.Random(f"{self.args.seed} {self.state.global_step} {round_number}")
            drawn = draw.choices(range(len(self.train_dataset)), k=-(-len(useless) // multiple) * multiple)
            rows = [self.train_dataset[i] for i in drawn for _ in range(size)]
            share = len(rows) // processes
            made = super()._generate([row["prompt"] for row in rows[process * share : (process + 1) * share]])
            sources = [rows, [row["prompt"] for row in rows], *(gather_object(x) if x else None for x in made[:5])]
            for source, group in enumerate(useless):
                for sample in range(size):
                    row = group * size + sample - process * len(prompts)
                    if 0 <= row < len(prompts):
                        for target, values in zip((self.rows, prompts, *outputs), sources, strict=False):
                            if values is not None:
                                target[row] = values[source * size + sample]
            refilled += len(useless)
        return refilled

    def _rewards_of_groups(self) -> torch.Tensor:
        """The weighted sums of the rewards of all processes, (groups, samples)."""
        rewards = (self.rewards * self.reward_weights.to(self.rewards.device)).nansum(dim=1)
        return rewards.view(-1, self.num_generations)

    def _generate_and_score_completions(self, inputs):
        """As stock TRL's, with the advantages and the factor of the learning rate that the options ask for."""
        self.rows = inputs  # of this process; `_refill` replaces some of them
        outputs = super()._generate_and_score_completions(inputs)
        if self.model.training and self.best_of_k > 1:
            advantages = best_of_k_advantages(self._rewards_of_groups(), self.best_of_k).flatten()
            first = self.accelerator.process_index * len(outputs["advantages"])
            outputs["advantages"] = advantages[first : first + len(outputs["advantages"])]
        if self.model.training and self.learning_rate_power:
            teach = self.accelerator.gather(outputs["advantages"] != 0)
            rows = self.learning_rate_rows or len(teach)
            self.learning_rate_factor = max(teach.sum().item() / rows, 1e-6) ** self.learning_rate_power
            self._metrics["train"]["learning_rate_factor"].append(self.learning_rate_factor)
        return outputs

    def _prepare_inputs(self, generation_batch):
        inputs = super()._prepare_inputs(generation_batch)
        if self.model.training and self.learning_rate_power:  # the scheduler sets the rates anew after every step
            for group, rate in zip(self.optimizer.param_groups, self.lr_scheduler.get_last_lr(), strict=True):
                group["lr"] = rate * self.learning_rate_factor
        return inputs

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        if isinstance(prompts[0], list) and prompts[0][-1]["role"] == "user" and self._template_begins_thought():
            unfinished = map(self._is_unfinished_thought, completions, completion_ids_list)
            # TRL passes columns of the dataset to the grader, so this becomes one.
            inputs = [row | {"unfinished_thought": value} for row, value in zip(inputs, unfinished, strict=True)]
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)  # of all processes
        self.rewards = rewards
        if not self.model.training:
            samples = rewards[:, 0].view(-1, self.num_generations_eval)  # (puzzles, samples)
            bands = gather_object([row.get("difficulty") for row in inputs])[:: self.num_generations_eval]
            variances = samples.var(dim=1) if self.num_generations_eval > 1 else samples.new_full((len(samples),), torch.nan)
            scores = (samples.mean(dim=1), samples.amax(dim=1), variances)
            self.held_out_scores += zip(bands, *(score.tolist() for score in scores), strict=True)
        return rewards

    def _template_begins_thought(self) -> bool:
        """Whether the chat template opens the model's thought, so that a completion that never closes it holds no answer."""
        chat, kwargs = [{"role": "user", "content": "Who?"}], self.chat_template_kwargs
        return opens_thinking(self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, **kwargs))

    def _is_unfinished_thought(self, completion: list[dict], ids: list[int]) -> bool:
        """Whether a completion never closes its thought. TRL may have parsed the thought out, or dropped special tags."""
        texts = text_of(completion) or "", self._tokenizer.decode(ids)
        return not any(without_thinking(text, opened=True) for text in texts)

    def log(self, logs, start_time=None):
        if self.held_out_scores:  # at the end of an evaluation
            puzzles = len(self.callback_handler.eval_dataloader.dataset)  # any more are repeated, to fill the last batch
            bands, means, best, variances = map(np.array, zip(*self.held_out_scores[:puzzles], strict=True))
            for band in sorted({*bands} - {None}):
                scores = means[bands == band]
                logs[f"eval_accuracy/{band}"] = scores.mean().item()
                logs[f"eval_accuracy_error/{band}"] = scores.std().item() / len(scores) ** 0.5
            # The puzzles are the same in each evaluation, so only sampling tells two of them apart. One sample does not show by
            # how much, and then the error includes how puzzles differ.
            k = self.num_generations_eval
            variance = variances.mean() / k if k > 1 else means.var()
            logs[SAMPLING_ERROR] = (variance / len(means)).item() ** 0.5
            if k > 1:
                logs |= {f"eval_best_of_{k}": best.mean().item(), f"eval_pass_at_{k}": (best == 1).mean().item()}
        self.held_out_scores.clear()
        metrics = self._metrics["train" if self.model.training else "eval"]
        self.log_completions = self.args.log_completions and "frac_reward_zero_std" in metrics  # once a generation
        if not (self.log_completions and not self.model.training and self.accelerator.is_main_process):
            super().log(logs, start_time)
            return
        # TRL names the file after the step: what was trained on at this step may be in it.
        file = Path(self.args.output_dir) / "completions" / f"completions_{self.state.global_step:05d}.parquet"
        trained_on = file.with_suffix(".aside")
        if file.exists():
            os.replace(file, trained_on)
        super().log(logs, start_time)
        os.replace(file, file.with_stem(f"{file.stem}_eval"))
        if trained_on.exists():
            os.replace(trained_on, file)

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None) -> tuple[None, None, None]:
        """Generate and grade. Stock TRL also computes the loss, another forward of all samples, which says nothing here."""
        self._prepare_inputs(inputs)
        return None, None, None

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        """As stock TRL's, with its completions logged apart. After the first optimizer step, the weights with the best held-out
        accuracy are kept.
        """
        trained_on = self._logs
        self._logs = {name: deque() if isinstance(rows, deque) else defaultdict(deque) for name, rows in trained_on.items()}
        metrics = super().evaluate(*args, **kwargs)
        self._logs = trained_on
        step, accuracy = self.state.global_step, metrics[HELD_OUT_ACCURACY]
        if step and accuracy > self.best_accuracy:
            self.best_accuracy = accuracy
            self.save_complete(Path(self.args.output_dir) / BEST, {"step": step, "accuracy": accuracy})
        return metrics

    def save_complete(self, folder: Path, record: dict | None = None) -> None:
        """Save the weights, and a record of their score, to a folder that is complete whenever it is there."""
        partial = folder.with_name(f"{folder.name}.partial")
        with self._name_what_is_lost(f"{folder.name}/"):
            self.save_model(str(partial))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            if record:
                write_json(partial / "held_out.json", record)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(partial, folder)

    def _save_checkpoint(self, model, trial):
        """Write a checkpoint, mark it as complete, and only then delete all others.

        Transformers 5.23.0 would delete the old ones as soon as the main process has written its part of the new one.
        """
        output_dir = Path(self.args.output_dir)
        checkpoint = output_dir / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            mark_incomplete(checkpoint)  # one that is overwritten
        self.accelerator.wait_for_everyone()
        with self._name_what_is_lost(f"the checkpoint of step {self.state.global_step}"):
            super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            mark_complete(checkpoint)
            delete_checkpoints_except({self.state.global_step}, output_dir)

    @contextmanager
    def _name_what_is_lost(self, what: str) -> Iterator[None]:
        """Say what could not be written, and what to do."""
        try:
            yield
        except (OSError, RuntimeError, SafetensorError) as error:
            output_dir = self.args.output_dir
            raise RuntimeError(
                f"{what} could not be written to {output_dir}, where {shutil.disk_usage(output_dir).free / 2**20:,.0f} MiB are "
                "free. Make room, and run the same command to resume from the last complete checkpoint."
            ) from error
