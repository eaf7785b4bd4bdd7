"""How many of a puzzle's questions a completion answers correctly. Both graders have TRL's reward signature.

`accuracy` is the default. It reads the last answer sheet,

    A. Mrs. White
    B. Lounge

in whatever form it is written (rewards/answer_sheet.py): a question is answered if the text behind its letter names exactly one
of its candidates, which are those of the puzzle in the prompt. What is thought does not count, only what is said after it.
`published_accuracy` is the grader of the published results, for comparison with them. Its pattern has no digits, so it can
never accept a time: a perfect sheet scores 0.926 on the published validation puzzles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

from puzzles.clues import answer_options, with_answer
from puzzles.prompts import read_prompt
from puzzles.scenario import MOTIVES, ROOMS, SUSPECTS, WEAPONS
from puzzles.sentences import render
from rewards.answer_sheet import PREFACE, Names, Question, last_sheet, plain, read_answers

TEXT_PARTS = ("text", "input_text", "output_text")
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
        prompts: B texts, or B chats whose last message of the user is the puzzle. Without one that can be read, the candidates
            are all names of the game of an answer's kind; an answer that is none of these has to be written as it is.
        unfinished_thought: of each completion whether it never ends the thought that its chat template began, and so says
            nothing. PuzzleTrainer finds out; a prompt that itself ends in `<think>` is known to begin one.
        log_metric: TRL's hook; receives `solved`, the share of completions with every answer right, and `unread_answers`, the
            share of questions that no candidate could be read for: there is no line of that letter, or it names none, or not
            surely one.
    """
    size = len(completions)
    rows = zip(completions, solution, prompts or [None] * size, unfinished_thought or [False] * size, strict=True)
    graded = [grade("" if silent else text_of(c), answers_of(s), prompt) for c, s, prompt, silent in rows]
    if log_metric and graded:
        log_metric("solved", sum(all(g) for g in graded) / len(graded))
        log_metric("unread_answers", sum(g.count(None) for g in graded) / sum(map(len, graded)))
    return [sum(map(bool, g)) / len(g) for g in graded]


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
    """What stands behind each letter of the answer sheet that counts, by the number of the question."""
    return {number: texts[-1].partition("\n")[0] for number, texts in last_sheet(spoken(text), questions).items()}


def grade(text: str, answers: list[str], prompt: Prompt | None = None) -> list[bool | None]:
    """For each question, whether a text answers it correctly; None if its answer cannot be read."""
    questions = questions_of(puzzle_text(prompt)) if prompt else None
    if not questions or len(questions) != len(answers):
        questions = (None,) * len(answers)
    questions = [
        q if q and answer in q.names.candidates else Question(names_of_the_game(answer))
        for q, answer in zip(questions, answers, strict=True)
    ]
    goes_on = isinstance(prompt, str) or (isinstance(prompt, list) and prompt and prompt[-1].get("role") == "assistant")
    found = read_answers(spoken(text, begun=bool(goes_on and begins_thought(text_of(prompt)))), questions)
    return [None if answer is None else answer == right for answer, right in zip(found, answers, strict=True)]


@lru_cache(maxsize=1024)  # the puzzles of a generation batch; about 10 KiB each
def questions_of(text: str) -> tuple[Question, ...] | None:
    """The questions of the puzzle that a prompt holds, within the marks of a chat template too; None if it holds none."""
    try:
        puzzle = read_prompt(re.sub(r"<[|｜][^<>]*>", "\n", text))
    except ValueError:
        return None
    questions = []
    for question in puzzle.questions:
        options = answer_options(question, puzzle.setting)
        sentence = plain(render(with_answer(question, options[0]), puzzle.setting))
        before, _, behind = sentence[PREFACE.match(sentence).end() :].partition(plain(options[0]))
        questions.append(Question(Names(options), re.sub(r"(?:\b(?:in|at) )?(?:the )?$", "", before), behind))
    return tuple(questions)


@lru_cache(maxsize=1024)
def names_of_the_game(answer: str) -> Names:
    """The candidates of an answer's kind where no puzzle tells: every name that the game has, or the answer alone, in full."""
    return next((names for names in _kinds() if answer in names.candidates), Names((answer,), known=False))


@cache
def _kinds() -> tuple[Names, ...]:
    times = [f"{hour:02d}:{minute:02d} {half}M" for half in "AP" for hour in range(1, 13) for minute in range(60)]
    return tuple(map(Names, (SUSPECTS, WEAPONS, ROOMS, MOTIVES, times)))


# ---------------------------------------------------------------- messages and thoughts

# Tags around what a model thinks: <think>, <reasoning>, <|begin_of_thought|> (OpenThinker), <|START_THINKING|> (Command A) and
# <|channel|>analysis (gpt-oss, whose channel "final" is the answer).
THOUGHT = re.compile(
    r"<(?:(?P<end>/)?(?:seed:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad)>|"
    r"\|(?:begin|(?P<end2>end))_of_thought\|>|\|(?:start|(?P<end3>end))_thinking\|>|"
    r"\|channel\|>(?:analysis|commentary|(?P<end4>final))(?:<\|message\|>)?)",
    re.IGNORECASE,
)
OTHER_TAGS = (
    ("[THINK]", "<think>"),
    ("[/THINK]", "</think>"),
    ("◁think▷", "<think>"),
    ("◁/think▷", "</think>"),
)  # Magistral, Kimi


def spoken(text: str, begun: bool = False) -> str:
    """A text without what is thought in it: what stands between tags, behind one that is never closed, and before one that
    was never opened, since then the chat template began the thought.

    Args:
        begun: whether the text goes on with a thought, so that all of it is one if it is never closed.
    """
    text = _with_plain_tags(text)
    said: list[str] = []
    start = None if begun else 0  # of what is said; None within a thought
    for tag in THOUGHT.finditer(text):
        if tag.lastgroup:  # it closes
            if start is not None:
                said.clear()
            start = tag.end()
        elif start is not None:
            said.append(text[start : tag.start()])
            start = None
    if start is not None:
        said.append(text[start:])
    return "\n".join(said)


def begins_thought(prompt: str) -> bool:
    """Whether a prompt, as rendered for a model, ends with the tag that begins a thought (R1-Distill, QwQ, Qwen3-Thinking)."""
    end = _with_plain_tags(prompt[-100:].rstrip())
    return any(tag.end() == len(end) and not tag.lastgroup for tag in THOUGHT.finditer(end))


def _with_plain_tags(text: str) -> str:
    for theirs, ours in OTHER_TAGS:
        text = text.replace(theirs, ours)
    return text


def text_of(completion: Completion) -> str:
    """The text of a completion, or of a chat's last message, whose content may be parts; "" if it has none or is a tool's."""
    if isinstance(completion, list):
        completion = completion[-1] if completion else None
    if isinstance(completion, dict):
        completion = None if completion.get("role") == "tool" else completion.get("content")
    if isinstance(completion, list):
        parts = [{"text": part} if isinstance(part, str) else part for part in completion]
        texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type", "text") in TEXT_PARTS]
        completion = "".join(text for text in texts if isinstance(text, str))
    return completion if isinstance(completion, str) else ""


def puzzle_text(prompt: Prompt) -> str:
    """The puzzle of a prompt: the text itself, or the last message of a chat that is the user's."""
    if isinstance(prompt, list):
        prompt = [message for message in prompt if message.get("role", "user") == "user"][-1:]
    return text_of(prompt)


def answers_of(solution: Solution) -> list[str]:
    """The right answers in order. Arrow fills the letters that a puzzle does not have with None."""
    answers = list(solution.values()) if isinstance(solution, dict) else list(solution)
    answers = [answer for answer in answers if answer is not None]
    if not answers:
        raise ValueError("a puzzle has an empty solution: the dataset needs a `solution` column with its answers.")
    return answers
