"""What the benchmark asks and how it scores: puzzles as Inspect samples, and a grader of answers and deductions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from inspect_ai import Epochs, Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalSample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    ContentReasoning,
    ModelOutput,
)
from inspect_ai.scorer import Score, mean, scorer
from inspect_ai.solver import solver
from inspect_ai.util import display_counter
from tqdm import tqdm

from puzzles.clues import Motivated, Murder
from puzzles.cpsat import find_night
from puzzles.dataset import puzzle_of, read_rows
from puzzles.difficulty import band, depths
from puzzles.messages import text_of
from puzzles.scenario import Setting
from recipes.evaluation.measures import deduction_measures, dollars
from rewards.accuracy import Prompt, answers_of, grade, published_accuracy
from rewards.deductions import cached_judge
from rewards.deductions.llm_extractor import ExtractionError, Extractor, known_sentences
from rewards.thinking import without_thinking

ROLES = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}


# ---------------------------------------------------------------- what is asked


def dataset_rows(dataset: str, split: str, count: int) -> tuple[list[dict], str]:
    """The first `count` rows of a dataset's split (or of its only split), and a description of where they come from.

    Raises:
        ValueError: if it cannot be read, there are too few rows, or one lacks its prompt or its solution.
    """
    splits = read_rows(dataset)
    split = split if len(splits) > 1 else next(iter(splits))
    if split not in splits:
        raise ValueError(f"{dataset} has no split {split!r}, only {', '.join(splits)}: choose one of them.")
    source = f"{dataset}, {split}"
    if count > len(splits[split]):
        raise ValueError(f"{count} puzzles were asked for, but {source}, has only {len(splits[split])}.")
    rows = list(islice(splits[split], count))
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ValueError(f"{source}, row {i} is {row!r:.80} instead of an object with a prompt and a solution.")
        if missing := {"prompt", "solution"} - set(row):
            raise ValueError(f"{source}, row {i} has no {' and no '.join(sorted(missing))}.")
    return rows, source


def task_of(samples: list[Sample], source: str, times: int, thinking_opened: bool = False, price: dict | None = None) -> Task:
    """These samples as an Inspect task, each asked this many times.

    Args:
        source: where the puzzles come from, for Inspect's logs.
        thinking_opened, price: see `grader`.
    """
    return Task(
        dataset=MemoryDataset(samples, name=source), solver=ask(), scorer=grader(thinking_opened, price),
        epochs=Epochs(times, []), name="temporal_clue",
    )  # fmt: skip


def to_samples(rows: list[dict]) -> list[Sample]:
    """Rows as Inspect samples; errors as of `to_sample`."""
    return [to_sample(i, row) for i, row in enumerate(tqdm(rows, desc="reading the puzzles", leave=False))]


def to_sample(index: int, row: dict) -> Sample:
    """A puzzle as an Inspect sample, with its difficulty and the kind of each question.

    Raises:
        ValueError: if its prompt cannot be read, its solution does not fit its questions, or it has no difficulty and its clues
            contradict each other.
    """
    try:
        puzzle, statements = puzzle_of(row | {"prompt": text_of(row["prompt"], role="user")})
        messages, answers = to_messages(row["prompt"]), answers_of(row["solution"])
        if len(answers) != len(puzzle.questions):
            raise ValueError(f"its solution has {len(answers)} answers, and it asks {len(puzzle.questions)} questions")
        if not (difficulty := row.get("difficulty")):
            if not (night := find_night(puzzle.setting, statements)):
                raise ValueError("its clues contradict each other")
            difficulty = band(depths(puzzle, night))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"puzzle {index}: {str(error).rstrip('.')}.") from error
    kinds = [
        q.aspect if isinstance(q, Murder) else "motives" if isinstance(q, Motivated) else "places" for q in puzzle.questions
    ]
    metadata = {"difficulty": difficulty, "kinds": kinds}
    return Sample(id=index, input=messages, target=answers, metadata=metadata)


def to_messages(prompt: Prompt) -> list[ChatMessage]:
    """All messages of a prompt, as in training; a prompt that is text is one user message.

    Raises:
        ValueError: if a message has an unknown role.
    """
    messages = []
    for message in [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt:
        if message["role"] not in ROLES:
            raise ValueError(f"a message of its prompt has the role {message['role']!r}: use {', '.join(ROLES)}")
        messages.append(ROLES[message["role"]](content=text_of(message) or ""))
    return messages


@solver
def ask():
    """One completion of the prompt as it is. A prompt that was never answered is an error, to be retried, and not a zero."""

    async def solve(state, generate):
        state = await generate(state)
        if state.output.stop_reason == "model_length" and not state.output.usage:
            raise ValueError(f"the prompt does not fit into the model's context: {state.output.completion}")
        return state

    return solve


# ---------------------------------------------------------------- how it is scored


@scorer(metrics={"*": [mean()]})
def grader(thinking_opened: bool = False, price: dict | None = None):
    """Both graders, on the answer without the reasoning, and the verdicts on all deductions, those in the reasoning included.

    With a price, the progress display has the dollars spent since the start.

    Args:
        thinking_opened: whether the server's chat template opens the thinking, so that a response that never closes it has no
            answer.
        price: dollars per million tokens, as of `price_of`.
    """
    spent = 0.0

    async def score(state, target):
        nonlocal spent
        if price and state.output.usage:
            spent += dollars(state.output.usage, price)
            display_counter("dollars", f"{spent:.2f}")
        answers, response = list(target), state.output.completion
        answer = without_thinking(response, opened=thinking_opened and not reasoning_parts(state.output))
        right = grade(answer, answers, state.input_text)
        value = {
            "accuracy": sum(map(bool, right)) / len(right),
            "published_accuracy": published_accuracy([response], [answers])[0],
            "solved": float(all(right)),
        }
        judge = cached_judge(state.input_text)  # None where the clues contradict each other
        tally = judge.judge(reasoning_and_answer(state.output)).tally if judge else None
        metadata = {"right": [*map(bool, right)], "unread": right.count(None)}
        metadata |= {"silent": not answer.strip(), "deductions": tally}
        return Score(value=value, answer=answer[-1000:], metadata=metadata)

    return score


def reasoning_and_answer(output: ModelOutput) -> str:
    """A response's reasoning, or the summary that the API gives instead, and its answer below a heading.

    The heading ends whatever the reasoning still supposes (rewards/deductions/reader.py).
    """
    reasoning = [(part.summary or "") if part.redacted else part.reasoning for part in reasoning_parts(output)]
    return "\n\n# Answer\n\n".join([*filter(None, reasoning), output.completion])


def reasoning_parts(output: ModelOutput) -> list[ContentReasoning]:
    """The parts of a response that the API marks as reasoning."""
    content = output.message.content
    return [part for part in content if isinstance(part, ContentReasoning)] if isinstance(content, list) else []


def judge_extracted(samples: list[EvalSample], extractor: Extractor, at_once: int) -> dict:
    """The measures of deductions again, from the sentences into which a model puts each response.

    Responses on which the extractor fails are left out, and counted.

    Args:
        at_once: how many requests run in parallel. Identical responses are requested once.
    """
    samples = [s for s in samples if s.scores["grader"].metadata.get("deductions")]
    judges = [cached_judge(next(m.text for m in reversed(s.input) if m.role == "user")) for s in samples]
    pairs = [(reasoning_and_answer(s.output), judge.puzzle.setting) for s, judge in zip(samples, judges, strict=True)]

    def extract(pair: tuple[str, Setting]) -> str | ExtractionError:
        try:
            return extractor(*pair)
        except ExtractionError as error:
            return error

    distinct = list(dict.fromkeys(pairs))
    with ThreadPoolExecutor(at_once) as pool:
        results = tqdm(pool.map(extract, distinct), total=len(distinct), desc="extracting", leave=False)
        extracted = dict(zip(distinct, results, strict=True))
    tallies, errors = [], []
    for sample, judge, pair in zip(samples, judges, pairs, strict=True):
        if isinstance(extracted[pair], ExtractionError):
            errors.append(str(extracted[pair]))
        else:
            sentences, dropped = known_sentences(extracted[pair], judge.puzzle.setting)
            tally = judge.judge(sentences).tally
            tallies.append((sample.id, tally | {"unread": tally["unread"] + dropped}))
    outcome = {"responses": len(tallies), "failed": len(errors), "first_error": next(iter(errors), None)}
    return {"model": extractor.model} | outcome | deduction_measures(tallies)
