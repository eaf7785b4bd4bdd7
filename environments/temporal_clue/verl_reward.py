"""The grader as a reward function of verl, for the config `verl` of a published dataset (puzzles/dataset/hub.py).

python -m verl.trainer.main_ppo reward.custom_reward_function.path=pkg://temporal_clue.verl_reward data.train_files=…
"""

from typing import Any

from rewards.accuracy import accuracy


def compute_score(
    data_source: str, solution_str: str, ground_truth: list[str], extra_info: dict[str, Any], **_: Any
) -> dict[str, float]:
    """`score`, the fraction of questions answered correctly; `solved` and `unread_answers` become metrics of a validation."""
    metrics: dict[str, float] = {}
    (score,) = accuracy([solution_str], [ground_truth], [extra_info["question"]], log_metric=metrics.__setitem__)
    return {"score": score, **metrics}
