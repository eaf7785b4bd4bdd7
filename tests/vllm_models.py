"""Train a tiny random model of a class through recipes/grpo.py with vLLM, on a CPU; used by tests/test_rehearsal.py.

  python tests/vllm_models.py "Gemma 3" FOLDER [options of recipes/grpo.py]

A name is one of tests/test_models.py without a vision tower; the sizes are what vLLM accepts. The reward is the share of odd
tokens, since a random model solves nothing. FOLDER/seen.json gets the least and the greatest importance ratio of each
generation, the gradients' norms, and of each trained weight how far log-probabilities would be off
had vLLM kept its first value.
"""

import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer
from trl import GRPOConfig, ModelConfig
from trl.trainer.utils import create_model_from_path

from puzzles.files import write_json
from recipes import grpo
from recipes.alarms import AlarmArguments
from recipes.arguments import PuzzleArguments, RunArguments, parse
from tests.packed_and_stock import random_model
from tests.test_models import MODELS

SIZES = {
    128: "hidden_size intermediate_size linear_key_head_dim linear_value_head_dim conv_dim block_dim",
    64: "moe_intermediate_size shared_expert_intermediate_size",
    32: "head_dim global_head_dim linear_head_dim mamba_head_dim qk_rope_head_dim qk_nope_head_dim v_head_dim kv_lora_rank "
    "ssm_state_size",
    8: "mamba_num_heads",
    0.1: "initializer_range",
}
WIDE = {name: size for size, names in SIZES.items() for name in names.split()}
ALWAYS = {"hidden_size", "intermediate_size", "head_dim", "initializer_range"}
ALWAYS |= {"conv_dim", "block_dim"}  # which real configs of LFM2 have, and vLLM reads
SMALL = """--suspects 3 --weapons 2 --rooms 3 --times 1 --motives 0 --wording compact --num_train_puzzles 8 --num_eval_puzzles 4
    --num_generations 4 --generation_batch_size 16 --optimizer_steps 1 --per_device_train_batch_size 16 --max_steps 3
    --per_device_eval_batch_size 8 --num_generations_eval 2 --max_completion_length 24 --eval_strategy steps --eval_steps 1
    --learning_rate 1e-2 --loss_type grpo --logging_steps 1 --save_strategy no --report_to none --use_cpu true --bf16 false
    --dtype float32 --use_vllm true --vllm_mode colocate --vllm_max_model_length 512 --start_anyway true"""


def accuracy(completion_ids: list[list[int]], **_) -> list[float]:
    return [sum(i % 2 for i in ids) / len(ids) for ids in completion_ids]


def effects(model: torch.nn.Module, first: torch.nn.Module) -> dict[str, float]:
    """Of each weight that has changed: by how much its first value would change a log-probability, at most."""
    ids = torch.randint(0, 256, (4, 60), generator=torch.Generator().manual_seed(0))
    before = dict(first.named_parameters())

    def logps() -> torch.Tensor:
        with torch.no_grad():
            return model.eval()(input_ids=ids).logits.log_softmax(-1)

    found, own = {}, logps()
    for name, weight in model.named_parameters():
        now = weight.data
        first_value = before.get(name, torch.zeros_like(weight)).data.to(weight.dtype)  # LoRA's second factor starts at 0
        if weight.requires_grad and "lora_A" not in name and not torch.equal(now, first_value):
            weight.data = first_value
            found[name] = (logps() - own).abs().max().item()
            weight.data = now
    return found


def main(name: str, folder: str, *options: str) -> None:
    sizes = {key: size for key, size in WIDE.items() if key in ALWAYS | MODELS[name].keys()}
    path, ratio = random_model(folder, **MODELS[name] | sizes), "sampling/importance_sampling_ratio/"
    AutoTokenizer.from_pretrained("recipes/tiny/tiny-base").save_pretrained(path)
    unchanged = create_model_from_path(path, dtype="float32")  # before vLLM patches its class

    def report(trainer, *_) -> None:
        log = trainer.state.log_history
        prefixed = [(entry, p + ratio) for entry in log for p in ("", "eval_") if p + ratio + "min" in entry]
        ends = [(entry[key + "min"], entry[key + "max"]) for entry, key in prefixed]
        norms = [entry["grad_norm"] for entry in log if "grad_norm" in entry]
        write_json(Path(folder) / "seen.json", {"ratios": ends, "norms": norms, "effects": effects(trainer.model, unchanged)})

    grpo.accuracy, grpo.save_result = accuracy, report
    sys.argv = ["grpo.py", "--model_name_or_path", path, "--output_dir", f"{folder}/run", *SMALL.split(), *options]
    grpo.main(*parse((PuzzleArguments, RunArguments, AlarmArguments, GRPOConfig, ModelConfig), grpo.__doc__))


if __name__ == "__main__":
    main(*sys.argv[1:])
