"""The grader as a reward function of verl, for the config `verl` of a published dataset (puzzles/dataset/hub.py).

python -m verl.trainer.main_ppo reward.custom_reward_function.path=pkg://temporal_clue.verl_reward data.train_files=…
"""

from typing import Any

from rewards.accuracy import accuracy
from rewards.thinking import without_thinking


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: list[str],
    extra_info: dict[str, Any],
    thinking_opened: bool = False,
    **_: Any,
) -> dict[str, float]:
    """`score`, the fraction of questions answered correctly; `solved` and `unread_answers` become metrics of a validation.

    Args:
        thinking_opened: whether the model's chat template opens its thought (R1-Distill, QwQ, Qwen3-Thinking): then a response
            that never closes it earns nothing. Set it with reward.custom_reward_function.reward_kwargs.
    """
    metrics: dict[str, float] = {}
    unfinished = thinking_opened and not without_thinking(solution_str, opened=True)
    question = [extra_info["question"]]
    (score,) = accuracy([solution_str], [ground_truth], question, [unfinished], log_metric=metrics.__setitem__)
    return {"score": score, **metrics}
