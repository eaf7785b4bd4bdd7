"""Batch geometry: the same iteration on any number of processes, and what doesn't divide evenly."""

import pytest

from recipes.arguments import RunArguments
from recipes.batch_geometry import batch_geometry, geometry_problems
from tests.test_plan import config


def problems(run_args, args, processes):
    try:
        geometry = batch_geometry(run_args, args, processes, 64)
    except ValueError as error:
        return [str(error)]
    return geometry_problems(geometry, run_args, args, 64)


@pytest.mark.parametrize("processes", [1, 2, 4, 8, 16, 32])
def test_an_iteration_is_the_same_on_any_number_of_gpus(processes):
    args = config(vllm_tensor_parallel_size=1)
    before = args.to_dict()
    geometry = batch_geometry(RunArguments(optimizer_steps=5), args, processes, 64)
    assert geometry.steps_per_generation * geometry.per_device_train_batch_size * processes == 1600
    assert geometry.steps_per_generation == 5 * geometry.gradient_accumulation_steps
    assert geometry.optimizer_steps == 5
    assert args.to_dict() == before


@pytest.mark.parametrize(
    ("at_most", "processes", "at_once"), [(128, 1, 128), (128, 8, 16), (128, 16, 8), (16, 4, 16), (10, 8, 8), (128, 64, 2)]
)
def test_an_evaluation_is_one_generation_if_a_batch_may_be_that_large(at_most, processes, at_once):
    """64 puzzles × 2 samples."""
    args = config(vllm_tensor_parallel_size=1, per_device_eval_batch_size=at_most)
    geometry = batch_geometry(RunArguments(optimizer_steps=5), args, processes, 64)
    assert geometry.training_arguments()["per_device_eval_batch_size"] == at_once
    assert not problems(RunArguments(optimizer_steps=5), args, processes)


@pytest.mark.parametrize(
    ("changes", "processes", "complaint"),
    [
        ({}, 6, "the 320 completions of an optimizer step (generation_batch_size 1600 / optimizer_steps 5) don't divide"),
        ({"loss_type": "bnpo"}, 6, "evenly over 6 process(es) × per_device_train_batch_size 2 = 12: use 1, 2, 4, 5, 8"),
        ({"vllm_tensor_parallel_size": 3}, 8, "vllm_tensor_parallel_size 3 does not divide 8 processes: use 1, 2, 4, 8."),
        ({"save_steps": 24}, 8, "save_steps=24 falls in the middle of a generation"),
        ({"num_iterations": 2, "eval_strategy": "no"}, 8, "exactly: set it to a multiple of its 10 optimizer steps."),
        ({"save_steps": 0.3, "max_steps": -1}, 8, "save_steps=0.3 is a share of num_train_epochs, which may end in the middle"),
        ({"eval_steps": 1}, 8, "eval_steps=1 falls in the middle of a generation"),
        ({"vllm_tensor_parallel_size": 1}, 5, "128 held-out completions are not a multiple"),
        (
            {"num_generations_eval": 3, "per_device_eval_batch_size": 2, "eval_strategy": "no"},
            8,
            "is not divisible by the 3 samples of a held-out puzzle",
        ),
    ],
)
def test_what_does_not_divide_evenly_is_named_with_a_fix(changes, processes, complaint):
    (problem,) = problems(RunArguments(optimizer_steps=5), config(**changes), processes)
    assert complaint in problem
    assert not problems(RunArguments(optimizer_steps=5), config(), 8)


def test_a_given_accumulation_is_kept_and_checked():
    args = config(gradient_accumulation_steps=800, use_vllm=False)
    assert not problems(RunArguments(), args, 1)
    args = config(gradient_accumulation_steps=300, use_vllm=False)
    assert "gradient_accumulation_steps 300 does not divide the 800" in problems(RunArguments(), args, 1)[0]
