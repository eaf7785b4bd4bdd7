"""How many of a puzzle's questions a completion answers correctly: two graders, both with TRL's reward signature.

`accuracy`, the default, reads the last answer sheet of a completion,

    A. Mrs. White
    B. Lounge

in any of the forms in rewards/answer_sheet.py. A question is answered if the text after its letter names exactly one of the
options that the puzzle in the prompt has for it. Thinking does not count, only what is said after it (rewards/thinking.py).

`published_accuracy` is the grader of the published results, for comparison with them. Its pattern has no digits, so it never
accepts a time: a perfect sheet scores 0.926 on the published validation puzzles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache

from puzzles.clues import answer_options, with_answer
from puzzles.messages import text_of
from puzzles.prompts import read_prompt
from puzzles.scenario import MOTIVES, ROOMS, SUSPECTS, WEAPONS
from puzzles.sentences import render
from rewards.answer_sheet import LEAD_IN, Question, read_answers
from rewards.spellings import Options, normalize
from rewards.thinking import opens_thinking, without_thinking

Completion = str | list[dict] | dict | None
Prompt = str | list[dict]
Solution = Sequence[str] | dict[str, str | None]


def accuracy(
    completions: Sequence[Completion],
    solution: Sequence[Solution],
    prompts: Sequence[Prompt] | None = None,
    unfinished_thought: Sequence[bool] | None = None,
    log_metric: Callable[[str, float], None] | None = None,
    **_,
) -> list[float]:
    """The fraction of questions answered correctly, from 0 to 1, for each completion.

    Args:
        completions: B texts, or B chats whose last message is the answer.
        solution: B lists of the right answers in the order of the questions, or dicts from letter to answer.
        prompts: B texts, or B chats whose last user message is the puzzle. Where there is no readable puzzle, the options of a
            question are all names in the game of the right answer's kind; a right answer that is not one of them has to be
            written exactly.
        unfinished_thought: for each completion whether it never ends the thinking that its chat template opened, and so gives
            no answer. PuzzleTrainer determines this; it is not needed for a prompt that itself ends in `<think>`.
        log_metric: TRL's hook; receives `solved`, the share of completions with every answer right, and `unread_answers`, the
            share of questions without a readable answer: no line has that letter, or its line does not clearly name one option.

    Raises:
        ValueError: if a solution is empty.
    """
    graded = _graded(completions, solution, prompts, unfinished_thought)
    if log_metric and graded:
        log_metric("solved", sum(all(g) for g in graded) / len(graded))
        log_metric("unread_answers", sum(g.count(None) for g in graded) / sum(map(len, graded)))
    return [sum(map(bool, g)) / len(g) for g in graded]


def solved(completions: Sequence[Completion], solution: Sequence[Solution], **columns) -> list[float]:
    """1.0 for each completion that answers every question correctly, else 0.0. Arguments and errors as of `accuracy`."""
    return [float(score == 1) for score in accuracy(completions, solution, **(columns | {"log_metric": None}))]


def complete_sheet(
    completions: Sequence[Completion],
    solution: Sequence[Solution],
    prompts: Sequence[Prompt] | None = None,
    unfinished_thought: Sequence[bool] | None = None,
    **_,
) -> list[float]:
    """A reward for form: 1/n for each completion in which all n questions have a readable answer, right or wrong, else 0.0.

    That is what one right answer adds to `accuracy`, so with a smaller weight than accuracy's no sheet earns more than one with
    more right answers. The answers are those that `accuracy` reads. Arguments and errors as of `accuracy`.
    """
    graded = _graded(completions, solution, prompts, unfinished_thought)
    return [(None not in g) / len(g) for g in graded]


def published_accuracy(completions: Sequence[Completion], solution: Sequence[Solution], **_) -> list[float]:
    """The published experiment's grader: for each letter, the last text after it that consists of letters, spaces and . : -"""
    scores = []
    for completion, answers in zip(completions, map(answers_of, solution), strict=True):
        text, right = text_of(completion) or "", 0
        for i, answer in enumerate(answers):
            found = re.findall(rf"{chr(65 + i)}\. ([A-Za-z \.:-]+)", text)
            right += bool(found) and found[-1].strip().lower() == answer.lower()
        scores.append(right / len(answers))
    return scores


def _graded(completions, solution, prompts, unfinished_thought) -> list[list[bool | None]]:
    """What `grade` returns for each completion; the arguments are those of `accuracy`."""
    size = len(completions)
    rows = zip(completions, solution, prompts or [None] * size, unfinished_thought or [False] * size, strict=True)
    return [grade("" if unfinished else text_of(c) or "", answers_of(s), prompt) for c, s, prompt, unfinished in rows]


def answers_of(solution: Solution) -> list[str]:
    """The right answers in the order of the questions.

    Raises:
        ValueError: if there are none, or they are not texts, or their letters are not A, B, C and so on.
    """
    answers = by_letter(solution) if isinstance(solution, dict) else solution
    if isinstance(answers, str) or not isinstance(answers, Iterable):
        raise ValueError(f"the solution {solution!r:.80} is neither a list of answers nor a mapping of letters to answers.")
    answers = [answer for answer in answers if answer is not None]
    if wrong := [answer for answer in answers if not isinstance(answer, str)]:
        raise ValueError(f"the solution {solution!r:.80} has the answer {wrong[0]!r:.80}, which is not a text.")
    if not answers:
        raise ValueError("a puzzle has an empty solution: the dataset needs a `solution` column with its answers.")
    return answers


def by_letter(solution: dict[str, str | None]) -> list:
    """The answers of a solution in the order of their letters. Arrow fills those that a puzzle does not have with None.

    Raises:
        ValueError: if the others are not A, B, C and so on.
    """
    answers = {letter: answer for letter, answer in solution.items() if answer is not None}
    letters = [chr(65 + i) for i in range(len(answers))]
    if set(letters) != set(answers):
        raise ValueError(f"its solution has the letters {', '.join(map(str, answers))}: use A, B, C and so on, without gaps")
    return [answers[letter] for letter in letters]


def grade(text: str, answers: list[str], prompt: Prompt | None = None) -> list[bool | None]:
    """For each question, whether a text answers it correctly; None if its answer cannot be read."""
    asked = questions_of(text_of(prompt, role="user") or "") if prompt else None
    if not asked or len(asked) != len(answers):
        asked = (None,) * len(answers)
    questions = [
        question if question and answer in question.options.names else Question(options_of_the_game(answer))
        for question, answer in zip(asked, answers, strict=True)
    ]
    continued = isinstance(prompt, str) or (isinstance(prompt, list) and prompt and prompt[-1].get("role") == "assistant")
    opened = bool(continued) and opens_thinking(text_of(prompt) or "")
    found = read_answers(without_thinking(text, opened), questions)
    return [None if answer is None else answer == right for answer, right in zip(found, answers, strict=True)]


@lru_cache(maxsize=1024)  # the puzzles of a generation batch; about 10 KiB each
def questions_of(prompt: str) -> tuple[Question, ...] | None:
    """The questions of the puzzle in a prompt, which may contain a chat template's special tokens; None if it has no puzzle."""
    try:
        puzzle = read_prompt(re.sub(r"<[|｜][^<>]*>", "\n", prompt))
    except ValueError:
        return None
    questions = []
    for question in puzzle.questions:
        options = answer_options(question, puzzle.setting)
        sentence = normalize(render(with_answer(question, options[0]), puzzle.setting))
        before, _, after = sentence[LEAD_IN.match(sentence).end() :].partition(normalize(options[0]))
        questions.append(Question(Options(options), re.sub(r"(?:\b(?:in|at) )?(?:the )?$", "", before), after))
    return tuple(questions)


@lru_cache(maxsize=1024)
def options_of_the_game(answer: str) -> Options:
    """The options of an answer's kind where there is no puzzle: every such name in the game, or only the answer, in full."""
    return next((options for options in _all_options() if answer in options.names), Options((answer,), complete=False))


@cache
def _all_options() -> tuple[Options, ...]:
    times = [f"{hour:02d}:{minute:02d} {half}M" for half in "AP" for hour in range(1, 13) for minute in range(60)]
    return tuple(map(Options, (SUSPECTS, WEAPONS, ROOMS, MOTIVES, times)))
