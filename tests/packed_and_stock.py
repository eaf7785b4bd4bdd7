"""Train with stock TRL and with packing on the same random completions, for tests/test_packing.py to compare.

  accelerate launch … tests/packed_and_stock.py FOLDER '{"stock": {…}, "packed": {…}}'

runs `train` with each set of keywords, and writes the results to FOLDER/stock.pt and FOLDER/packed.pt.
"""

import json
import os
import random
import sys
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    TrainerCallback,
    set_seed,
)
from trl import GRPOConfig

from recipes.packing import PackedGRPOTrainer

RANK = int(os.environ.get("RANK", 0))
VOCABULARY, END = 100, 256  # END is the tokenizer's end of sequence
HEADS = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2}
HEADS |= {"vocab_size": 488, "intermediate_size": 48, "initializer_range": 0.1, "eos_token_id": END, "pad_token_id": 257}
SHAPE = {"prompts": 4, "group": 4, "prompt_length": (3, 12), "length": (1, 20)}


def random_model(folder, kind="qwen2", **changes):
    """A model with 2 layers, 4 query heads and 2 key heads; its weights are large enough for attention to matter."""
    if (path := Path(folder) / f"model-{RANK}").exists():
        return str(path)
    set_seed(0)
    config = CONFIG_MAPPING[kind](**{**({} if "text_config" in changes else HEADS), **changes})
    model = (AutoModelForCausalLM if config is config.get_text_config() else AutoModelForImageTextToText).from_config(config)
    model.save_pretrained(path)
    return str(path)


def rollout(shape):
    """Random completions for TRL's rollout_func. A prompt is the same each time, its completions differ."""
    times = {}

    def roll(prompts, trainer):
        rows = {"prompt_ids": [], "completion_ids": [], "logprobs": [], **({"env_mask": []} if shape.get("tools") else {})}
        for prompt in prompts:
            times[prompt] = times.get(prompt, 0) + 1
            of_prompt = random.Random(f"{shape.get('seed')} {prompt}")
            of_row = random.Random(f"{shape.get('seed')} {prompt} {times[prompt]} {trainer.accelerator.process_index}")
            ids = of_row.choices(range(VOCABULARY), k=of_row.randint(*shape["length"]))
            if of_row.random() < 0.7:
                ids[-1] = END
            rows["prompt_ids"].append(of_prompt.choices(range(VOCABULARY), k=of_prompt.randint(*shape["prompt_length"])))
            rows["completion_ids"].append(ids)
            rows["logprobs"].append([-of_row.uniform(4, 7) for _ in ids])
            if "env_mask" in rows:
                rows["env_mask"].append([int(of_row.random() < 0.7) for _ in ids])
        return rows

    return roll


class Gradients(TrainerCallback):
    """The gradients of each optimizer step. (Not available with ZeRO-3, where the tests compare weights.)"""

    def __init__(self):
        self.steps = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.steps.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})


def make(
    folder,
    packed_tokens,
    packing="auto",
    shape=None,
    equal_rewards=(),
    lora=False,
    sampler=False,
    model=None,
    pretrained=None,
    **config,
):
    """A trainer. `equal_rewards`: prompts whose samples get the same reward; `sampler`: use the sampler's log-probabilities as
    those of vLLM are; `pretrained`: the folder of a model to take instead of a random one with the changes in `model`.
    """
    shape = {**SHAPE, **(shape or {})}
    settings = {
        "output_dir": str(folder), "num_generations": shape["group"], "max_completion_length": 64, "max_steps": 1,
        "per_device_train_batch_size": shape["prompts"] * shape["group"], "learning_rate": 0.05, "optim": "sgd",
        "lr_scheduler_type": "constant", "max_grad_norm": 0.0, "beta": 0.0, "loss_type": "grpo", "use_cpu": True, "bf16": False,
        "report_to": "none", "logging_steps": 1, "save_strategy": "no", "activation_checkpointing": False, "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }  # fmt: skip

    def reward(prompts, completion_ids, **kwargs):
        rows = zip(prompts, completion_ids, strict=True)
        return [0.5 if prompt in equal_rewards else sum(ids) % 97 / 97 for prompt, ids in rows]

    trainer = PackedGRPOTrainer(
        pretrained or random_model(folder, **(model or {})),
        reward,
        args=GRPOConfig(**{**settings, **config}),
        train_dataset=Dataset.from_dict({"prompt": [str(i) for i in range(shape["prompts"])]}),
        eval_dataset=Dataset.from_dict({"prompt": ["7", "8"]}),
        processing_class=AutoTokenizer.from_pretrained(pretrained or "recipes/tiny/tiny-base"),
        rollout_func=rollout(shape),
        peft_config=LoraConfig(r=4, target_modules="all-linear", lora_dropout=0.0) if lora else None,
        packed_tokens=packed_tokens,
        packing=packing,
        callbacks=[gradients := Gradients()],
    )
    trainer.gradients = gradients.steps
    if trainer.loss_type == "vespo":  # a weight exp(sum of log-ratios): stock TRL's loss is up to 5e-6 off its own in float64
        trainer.model.double()
    if lora or trainer.beta:  # initially an adapter's second factor is 0, and the reference model equals the trained one
        torch.manual_seed(1)
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:
                parameter.data += 0.05 * torch.randn_like(parameter)
    if sampler:
        trainer.use_vllm, trainer._last_loaded_step = True, 0
    return trainer


def train(folder, packed_tokens, **kwargs):
    """The log of a run, the gradients of its steps, its final weights, and its last generation batch as regrouped."""
    trainer = make(folder, packed_tokens, **kwargs)
    set_seed(42)
    trainer.train()
    if kwargs.get("num_generations_eval"):
        trainer.evaluate()
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped) or {}
    return {
        "log": trainer.state.log_history,
        "gradients": trainer.gradients,
        "weights": {name: x.clone() for name, x in weights.items()},
        "batches": trainer._buffered_inputs,
    }


if __name__ == "__main__":
    folder, runs = Path(sys.argv[1]), json.loads(sys.argv[2])
    for name in runs:  # before training starts: after that, only one process saves a model
        random_model(folder / name)
    for name, keywords in runs.items():
        result = train(folder / name, **keywords)
        if RANK == 0:
            torch.save(result, folder / f"{name}.pt")
    torch.distributed.barrier()
    # Skip the interpreter's shutdown: a gloo thread that releases a collective's last tensor during it aborts the process
    # (https://github.com/pytorch/pytorch/issues/190489), whether or not the process groups were destroyed.
    os._exit(0)
