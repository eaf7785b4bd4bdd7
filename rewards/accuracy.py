"""How many of a puzzle's questions a completion answers correctly. Both graders have TRL's reward signature.

`accuracy` is the default. It reads the last complete answer sheet,

    A. Mrs. White
    B. Lounge

and forgives case, spaces, markdown and trailing punctuation in it, nothing else: an answer that hedges, explains or names
two candidates is wrong. `published_accuracy` is the grader of the published results, for comparison with them. Its pattern
has no digits, so it can never accept a time: a perfect sheet scores 0.926 on the published validation puzzles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

# "A. Mrs. White" at the start of a line, within markdown such as "- **A.** Mrs. White" or "> A. `Mrs. White`".
ANSWER_LINE = re.compile(r"^[ \t>*_#`~+-]*([A-Za-z])[*_`]*\.(.*)$", re.MULTILINE)

Completion = str | list[dict] | None
Solution = Sequence[str] | dict[str, str | None]


def accuracy(
    completions: Sequence[Completion],
    solution: Sequence[Solution],
    log_metric: Callable[[str, float], None] | None = None,
    **_,
) -> list[float]:
    """The fraction of questions answered correctly, from 0 to 1, for each completion.

    Args:
        completions: B texts, or B chats whose last message is the answer.
        solution: B lists of the right answers in the order of the questions, or dicts from letter to answer.
        log_metric: TRL's hook; receives `solved`, the share of completions with every answer right.
    """
    graded = [grade(text_of(c), answers_of(s)) for c, s in zip(completions, solution, strict=True)]
    if log_metric and graded:
        log_metric("solved", sum(all(g) for g in graded) / len(graded))
    return [sum(g) / len(g) for g in graded]


def published_accuracy(completions: Sequence[Completion], solution: Sequence[Solution], **_) -> list[float]:
    """The published experiment's grader: for each letter the last text after it that is made of letters, spaces, . : -"""
    scores = []
    for completion, answers in zip(map(text_of, completions), map(answers_of, solution), strict=True):
        right = 0
        for i, answer in enumerate(answers):
            found = re.findall(rf"{chr(65 + i)}\. ([A-Za-z \.:-]+)", completion)
            right += bool(found) and found[-1].strip().lower() == answer.lower()
        scores.append(right / len(answers))
    return scores


def answer_sheet(text: str, questions: int) -> dict[int, str]:
    """The last complete answer sheet of a text, or failing that the last incomplete one: {question number: answer}.

    Lines belong to one sheet as long as their letters ascend. Reasoning does not count: what stands before the last `</think>`,
    or behind a `<think>` that was never closed.
    """
    spoken = text.rpartition("</think>")[2].partition("<think>")[0]
    sheet: dict[int, str] = {}
    complete: dict[int, str] = {}
    last = questions  # any first letter opens a sheet
    for letter, answer in ANSWER_LINE.findall(spoken):
        number = ord(letter.upper()) - 65
        if number >= questions:
            continue
        if number <= last:
            sheet = {}
        sheet[number] = answer
        last = number
        if len(sheet) == questions:
            complete = sheet
    return complete or sheet


def grade(text: str, answers: list[str]) -> list[bool]:
    """For each question, whether the answer sheet of a text answers it correctly."""
    sheet = answer_sheet(text, len(answers))
    return [_plain(sheet.get(i, "")) == _plain(answer) for i, answer in enumerate(answers)]


def _plain(answer: str) -> str:
    """An answer without markdown, spaces, case and trailing punctuation."""
    return re.sub(r"[\s*_`~]+", "", answer).rstrip(".,;:!").casefold()


def text_of(completion: Completion) -> str:
    if isinstance(completion, list):
        completion = completion[-1]["content"] if completion else ""
    return completion or ""


def answers_of(solution: Solution) -> list[str]:
    """The right answers in order. Arrow fills the letters that a puzzle does not have with None."""
    answers = list(solution.values()) if isinstance(solution, dict) else list(solution)
    answers = [answer for answer in answers if answer is not None]
    if not answers:
        raise ValueError("a puzzle has an empty solution: the dataset needs a `solution` column with its answers.")
    return answers
