"""Values of options that would be refused only late, or never: every option of GRPOConfig is given nonsense."""

from dataclasses import fields
from importlib.util import find_spec
from typing import get_type_hints

import pytest
from trl import GRPOConfig, ModelConfig, SFTConfig

from recipes.checks import sampling_problems
from recipes.optimizer import optimizer_problems
from recipes.option_values import NOT_TAKEN, grpo_problems, lora_problems, missing_trackers, trainer_problems

CHECKED_ELSEWHERE = {  # recipes/arguments.py, batch_geometry.py, checks.py
    *("gradient_accumulation_steps", "per_device_eval_batch_size", "num_generations_eval", "steps_per_generation"),
    *("max_completion_length", "num_iterations", "vllm_max_model_length", "vllm_tensor_parallel_size", "seed", "data_seed"),
    *("save_total_limit", "reward_weights", "metric_for_best_model", "resume_from_checkpoint", "vllm_server_port"),
    *("vllm_server_host", "vllm_server_base_url", "output_dir", "hub_model_id", "train_sampling_strategy", "log_level"),
    *("log_level_replica", "dataloader_multiprocessing_context"),
}
MEANINGFUL = {  # any number or text is a possible value, or the option has no part in this recipe
    *("max_steps", "max_grad_norm", "logging_steps", "eval_delay", "entropy_coef", "run_name", "project", "trackio_space_id"),
    *("trackio_bucket_id", "trackio_static_space_id", "hub_token", "hub_revision", "vllm_structured_outputs_regex"),
    *("entropy_coef_min", "entropy_coef_max", "entropy_coef_delta", "entropy_target"),  # without use_adaptive_entropy
    *("ddp_bucket_cap_mb", "ddp_timeout", "local_rank", "vllm_group_port", "max_tool_calling_iterations"),
    *("include_num_input_tokens_seen", "length_column_name", "torch_compile_backend", "torch_compile_mode"),
}


def problems(**options):
    args = GRPOConfig(**{"output_dir": "never", "use_cpu": True, "bf16": False, **options})
    found = [*trainer_problems(args), *grpo_problems(args), *missing_trackers(args)]
    return [*found, *optimizer_problems(args), *sampling_problems(args)]


def test_nonsense_for_any_option_is_refused_before_the_model_is_loaded():
    accepted, hints = set(), get_type_hints(GRPOConfig)
    for name in (field.name for field in fields(GRPOConfig) if field.init):
        kind = str(hints[name])
        values = [-5] if "int" in kind or "float" in kind else []
        values += ["nonsense"] if "str" in kind and "dict" not in kind and "list" not in kind else []
        for value in values:
            try:
                found = problems(**{name: value})
            except (ValueError, TypeError, ImportError, RuntimeError):  # GRPOConfig refuses it
                continue
            if not found:
                accepted.add(name)
    assert accepted <= CHECKED_ELSEWHERE | MEANINGFUL, accepted - CHECKED_ELSEWHERE - MEANINGFUL
    assert {field.name for field in fields(GRPOConfig)} >= CHECKED_ELSEWHERE | MEANINGFUL


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            {"loss_type": "typo"},
            "loss_type: typo is impossible: use one of grpo, dapo, dr_grpo, bnpo, cispo, sapo, luspo, vespo.",
        ),
        ({"scale_rewards": "false"}, "scale_rewards: false is impossible: use one of group, batch, none."),
        ({"loss_type": "cispo"}, "epsilon_high: None is impossible: use 1 or more with loss_type: cispo"),
        ({"loss_type": "cispo", "epsilon_high": 0.28}, "epsilon_high: 0.28 is impossible: use 1 or more with loss_type: cispo"),
        ({"delta": 0.9}, "delta: 0.9 is impossible: use more than 1; TRL recommends more than 1 + epsilon."),
        ({"sync_ref_model": True}, "sync_ref_model: True is impossible: use false without a KL term"),
        (
            {"beta": 0.1, "sync_ref_model": True},
            "sync_ref_model: True is impossible: use false: no checkpoint holds the reference, so a resumed run would",
        ),
        ({"beta": 0.1, "ref_model_sync_steps": 0}, "ref_model_sync_steps: 0 is impossible: use 1 or more."),
        ({"use_adaptive_entropy": True, "entropy_coef_min": 2}, "entropy_coef_max: 1.0 is impossible: use entropy_coef_min"),
        ({"remove_unused_columns": True}, "remove_unused_columns: True is impossible: use false: the reward needs"),
        ({"max_steps": 0}, "max_steps: 0 is impossible: use 1 or more, or -1 for num_train_epochs."),
        ({"max_steps": -1, "num_train_epochs": 0}, "num_train_epochs: 0 is impossible: use more than 0."),
        ({"save_steps": 0}, "save_steps: 0 is impossible: use more than 0, or save_strategy: no."),
        ({"save_only_model": True}, "save_only_model: True is impossible: use false: without the optimizer's state"),
        (
            {"dataloader_persistent_workers": True},
            "dataloader_persistent_workers: True is impossible: use false without workers.",
        ),
        ({"report_to": ["typo"]}, "report_to: typo is unknown: use none, or some of "),
        ({"report_to": ["mlflow"]}, "report_to: mlflow is not installed: pip install mlflow."),
        (
            {"generation_kwargs": {"temperature": 0.1}},
            "generation_kwargs holds temperature, which is not supported there",
        ),
        (
            {"use_vllm": True, "generation_kwargs": {"logprobs": 5}},
            "generation_kwargs holds logprobs, which is not supported there: leave it out",
        ),
        ({"use_vllm": True, "generation_kwargs": {"seed": 7}}, "generation_kwargs holds seed, which is not supported there"),
        (
            {"use_vllm": True, "generation_kwargs": {"prompt_logprobs": 1}},
            "generation_kwargs holds prompt_logprobs, which is not supported there",
        ),
        ({"generation_kwargs": {"foo": 1}}, "generation_kwargs holds foo, which Transformers' generation does not know"),
        ({"top_k": -1}, "`top_k` has to be a strictly positive integer, but is -1"),
        ({"repetition_penalty": 0.0}, "`penalty` has to be a strictly positive float"),
    ],
)
def test_the_value_and_the_fix_are_named(options, complaint):
    assert any(problem.startswith(complaint) for problem in problems(**options)), problems(**options)


@pytest.mark.parametrize("kind", [GRPOConfig, SFTConfig])
def test_a_launch_configuration_that_would_overrule_bf16_false_is_refused(monkeypatch, kind):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    (problem,) = trainer_problems(kind("never", use_cpu=True, bf16=False))
    assert problem.startswith("bf16: False is impossible: use true, or launch with --mixed_precision no: the launch")
    assert trainer_problems(kind("never", use_cpu=True, bf16=True)) == []
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    assert trainer_problems(kind("never", use_cpu=True, bf16=False)) == []


def test_what_vllm_does_not_know_is_refused_where_it_is_installed():
    known = {"repetition_detection": {"max_pattern_size": 128, "min_count": 24}, "stop": ["?"], "min_tokens": 2}
    assert problems(use_vllm=True, generation_kwargs=known) == []
    unknown = {"foo": 1, "_eos_token_id": 2}
    found = problems(use_vllm=True, generation_kwargs=unknown)
    refused = [f"generation_kwargs holds {name}, which vLLM's SamplingParams does not know: leave it out." for name in unknown]
    assert found == (refused if find_spec("vllm") else [])


def test_what_is_possible_is_accepted():
    assert problems() == problems(loss_type="cispo", epsilon_high=5.0) == problems(save_strategy="no", save_steps=0) == []
    assert problems(beta=0.1) == problems(generation_kwargs={"repetition_detection": {}}) == []
    assert len(NOT_TAKEN) == len({*NOT_TAKEN})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"lora_alpha": 0}, "lora_alpha: 0 is impossible: use more than 0: it multiplies the adapter."),
        ({"lora_dropout": 1.0}, "lora_dropout: 1.0 is impossible: use a share, from 0 to less than 1."),
        ({"lora_task_type": "SEQ_CLS"}, "lora_task_type: SEQ_CLS is impossible: use CAUSAL_LM."),
        ({"lora_r": 0}, "lora_r: 0 is impossible: use 1 or more."),
    ],
)
def test_lora_that_could_not_learn_is_refused(options, complaint):
    assert lora_problems(ModelConfig(use_peft=True, **options)) == [complaint]
    assert lora_problems(ModelConfig(**options)) == []
