"""The optional reward for stated deductions: `deductions` has TRL's reward signature. It also logs their soundness.

The reward pays for deductions that are justified, new and not at hand (see rewards/deductions/judge.py). A step earns as much
as it excludes: 1 − 1/k for the value of a cell that has k possible values, 1/k for one value that it does not have, and
nothing for a statement that is not about one cell. Every refuted or undecided statement costs 1. So guessing loses: a guess
that is right with probability p earns at most 1 − p if it is right, and costs 1 if not: p (1 − p) − (1 − p) < 0. A value
earns less what the values of its cell earned that were excluded before it. The sum is divided by what the questions are worth
by the same measure, and clipped to [0, 1], so a completion without other credit has nothing to lose by a guess.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from puzzles.clues import At, Clue, Motivated, Murder, Puzzle, answer_options
from puzzles.messages import text_of
from puzzles.scenario import Setting
from rewards.accuracy import Completion, Prompt
from rewards.deductions.judge import DECIDED, Deduction, cached_judge


def deductions(
    prompts: Sequence[Prompt],
    completions: Sequence[Completion],
    log_metric: Callable[[str, float], None] | None = None,
    **_,
) -> list[float | None]:
    """The reward of each completion's deductions, from 0 to 1; None, which TRL leaves out, where the prompt cannot be read.

    Args:
        prompts: B texts, or B chats whose last message is the puzzle.
        completions: B texts, or B chats whose last message is the answer.
        log_metric: TRL's hook; receives `soundness` (the share proved), `deductions` (how many per completion), `read_share`
            (of the sentences that assert something) and `unread_prompts` (the share of prompts that cannot be read).
    """
    judges = [cached_judge(text_of(prompt) or "") for prompt in prompts]
    judged = [judge and judge.judge(text_of(text) or "") for judge, text in zip(judges, completions, strict=True)]
    if log_metric and judged:
        tallies = [Counter(completion.tally) for completion in judged if completion]
        log_metric("unread_prompts", 1 - len(tallies) / len(judged))
        total = sum(tallies, Counter())
        decided = sum(total[verdict] for verdict in DECIDED)
        if decided:
            log_metric("soundness", total["proved"] / decided)
        if tallies:
            log_metric("deductions", decided / len(tallies))
        if asserting := total["read"] + total["unread"]:
            log_metric("read_share", total["read"] / asserting)
    return [judge and reward_of(completion.deductions, judge.puzzle) for judge, completion in zip(judges, judged, strict=True)]


def reward_of(judged: Sequence[Deduction], puzzle: Puzzle) -> float:
    """The reward of a completion's deductions, from 0 to 1."""
    questions = sum(1 - 1 / len(answer_options(question, puzzle.setting)) for question in puzzle.questions)
    earned, of_cells = 0.0, defaultdict(float)
    for deduction in judged:
        value = credit(deduction, puzzle.setting)
        if value > 0:
            cell = cell_of(deduction.assertion.statement)
            value = max(value - of_cells[cell], 0.0) if deduction.assertion.holds else value
            of_cells[cell] += value
        earned += value
    return min(max(earned / questions, 0.0), 1.0)


def cell_of(statement: Clue) -> tuple:
    """The cell of the night that a statement gives a value: where someone was at a time, a suspect's motive, or who did it."""
    match statement:
        case At(who, _, time):
            return who, time
        case Motivated(suspect, _):
            return (suspect,)
        case Murder(aspect, _):
            return (aspect,)
    raise ValueError(f"{statement} is not about one cell")


def credit(deduction: Deduction, setting: Setting) -> float:
    """What a deduction earns: −1 if it is refuted or undecided, what it excludes if it is justified and new, otherwise 0."""
    if deduction.repeated:
        return 0.0
    if deduction.verdict in ("refuted", "undecided"):
        return -1.0
    if not deduction.justified or deduction.at_hand:
        return 0.0
    match deduction.assertion.statement:
        case At(who, _, _) if who in setting.pieces:
            values = len(setting.rooms)
        case Motivated(_, _):
            values = len(setting.motives)
        case Murder(aspect, _):
            values = len(answer_options(Murder(aspect, None), setting))
        case _:
            return 0.0
    return 1 - 1 / values if deduction.assertion.holds else 1 / values
