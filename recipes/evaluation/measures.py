"""What a benchmark's responses show: accuracy, the best of k, deductions, tokens and dollars, each with n and a 95 % interval
over puzzles.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from puzzles.difficulty import BANDS
from puzzles.files import read_yaml
from puzzles.tables import text_table
from recipes.evaluation.intervals import ratio
from recipes.evaluation.pass_at_k import best_of_k
from rewards.deductions import DECIDED

if TYPE_CHECKING:  # the report does without Inspect
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ModelUsage

KINDS = ("murderer", "weapon", "room", "time", "motive", "motives", "places")  # of questions; the last two are the bonus
INCOMPLETE = ("truncated", "refused", "empty", "failed")  # kinds of responses
DATED = re.compile(r"(-\d{4}-?\d{2}-?\d{2}|-latest)?$")  # what may follow a model's name in the price list


def count_responses(samples: list[EvalSample]) -> dict[str, int]:
    """How many responses were asked for and answered; of these, how many were truncated, refused by a filter, or
    empty (ended by themselves with no answer after the reasoning); how many failed; and how many requests were repeated.
    """
    answered = [s for s in samples if s.scores and not s.error]
    stops = Counter(s.output.stop_reason for s in answered)
    silent = [s.scores["grader"].metadata.get("silent", not s.output.completion.strip()) for s in answered]
    return {
        "asked": len(samples),
        "answered": len(answered),
        "truncated": stops["max_tokens"] + stops["model_length"],
        "refused": stops["content_filter"],
        "empty": sum(s.output.stop_reason == "stop" and is_silent for s, is_silent in zip(answered, silent, strict=True)),
        "failed": len(samples) - len(answered),
        "repeated_requests": sum(event.retries or 0 for s in samples for event in s.events if event.event == "model"),
    }


def summarize(samples: list[EvalSample], per_puzzle: int, price: dict | None, gpu_dollars: float | None) -> dict:
    """All measures of a benchmark, each with its mean, 95 % interval over puzzles, n, and number of puzzles.

    Args:
        samples: the answered ones.
        per_puzzle: how many were asked for.
        price: dollars per million tokens.
        gpu_dollars: dollars per hour of your own deployment, divided by the measured throughput; overrides `price`.
    """
    by_puzzle: dict[int, list[EvalSample]] = defaultdict(list)
    for sample in samples:
        by_puzzle[sample.id].append(sample)

    def over_puzzles(measure: Callable[[EvalSample], tuple[float, float]]) -> dict:
        """The ratio of two quantities of a response, each summed over all responses."""
        sums = [np.sum([measure(sample) for sample in of_puzzle], axis=0) for of_puzzle in by_puzzle.values()]
        return ratio([top for top, _ in sums], [bottom for _, bottom in sums])

    result = {
        key: over_puzzles(lambda s, key=key: (s.scores["grader"].value[key], 1))
        for key in ("accuracy", "published_accuracy", "solved")
    }
    result |= best_measures(list(by_puzzle.values()), per_puzzle)
    result["unread_answers"] = over_puzzles(unread_answers)
    result["by_difficulty"] = {name: over_puzzles(partial(accuracy_in_band, name=name)) for name in BANDS}
    result["by_question"] = {kind: over_puzzles(partial(right_of_kind, kind=kind)) for kind in KINDS}
    tallies = [(s.id, s.scores["grader"].metadata.get("deductions")) for s in samples]
    result |= deduction_measures([(puzzle, tally) for puzzle, tally in tallies if tally])
    result |= {"completion_tokens": None, "dollars": None, "seconds": busy_seconds(samples)}
    if samples and all(s.output.usage for s in samples):
        tokens = sum(s.output.usage.output_tokens for s in samples)
        result["completion_tokens"] = over_puzzles(lambda s: (s.output.usage.output_tokens, 1))
        result["tokens_per_second"] = tokens / result["seconds"]
        if gpu_dollars is not None:
            per_token = gpu_dollars / 3600 * result["seconds"] / max(tokens, 1)
            result["dollars"] = over_puzzles(lambda s: (per_token * s.output.usage.output_tokens, 1))
        elif price:
            result["dollars"] = over_puzzles(lambda s: (dollars(s.output.usage, price), 1))
    return result


def best_measures(by_puzzle: list[list[EvalSample]], n: int) -> dict:
    """For k = 1, 2, 4, … and n: the accuracy of the best of k responses, and the probability that at least one of k solves the
    puzzle, over the puzzles of which all n responses were answered. None if n is 1.
    """
    if n == 1:
        return {"best_of_k": None, "pass_at_k": None}
    complete = [samples for samples in by_puzzle if len(samples) == n]

    def for_each_k(measure: str) -> dict[str, dict]:
        scores = np.reshape([[s.scores["grader"].value[measure] for s in samples] for samples in complete], (-1, n))
        ks = sorted({2**i for i in range(n.bit_length())} | {n})
        return {str(k): ratio(best_of_k(scores, k), np.ones(len(scores))) for k in ks}  # a key of JSON is a text

    return {"best_of_k": for_each_k("accuracy"), "pass_at_k": for_each_k("solved")}


def unread_answers(sample: EvalSample) -> tuple[float, float]:
    """For how many questions no answer could be read (rewards/accuracy.py), and how many were asked."""
    found = sample.scores["grader"].metadata
    return found["unread"], len(found["right"])


def accuracy_in_band(sample: EvalSample, name: str) -> tuple[float, float]:
    """The fraction of answers right, and 1; both 0 if the puzzle is of another band of difficulty."""
    here = sample.metadata["difficulty"] == name
    return sample.scores["grader"].value["accuracy"] * here, float(here)


def right_of_kind(sample: EvalSample, kind: str) -> tuple[float, float]:
    """How many questions of a kind were answered correctly, and how many were asked."""
    right = [r for k, r in zip(sample.metadata["kinds"], sample.scores["grader"].metadata["right"], strict=True) if k == kind]
    return sum(right), len(right)


def deduction_measures(tallies: list[tuple[int, dict[str, int]]]) -> dict:
    """The share of deductions proved, how many a response states, and the share of sentences that could be read.

    Args:
        tallies: the puzzle and `JudgedCompletion.tally` of each response. Without any, every measure is None.
    """
    if not tallies:
        return dict.fromkeys(("soundness", "deductions", "read_share", "verdicts"))
    by_puzzle: dict[int, Counter[str]] = defaultdict(Counter)
    for puzzle, tally in tallies:
        by_puzzle[puzzle].update(tally, responses=1)

    def over_puzzles(top: tuple[str, ...], bottom: tuple[str, ...]) -> dict:
        return ratio(*([sum(sums[key] for key in keys) for sums in by_puzzle.values()] for keys in (top, bottom)))

    total = sum(by_puzzle.values(), Counter())
    return {
        "soundness": over_puzzles(("proved",), DECIDED),
        "deductions": over_puzzles(DECIDED, ("responses",)),
        "read_share": over_puzzles(("read",), ("read", "unread")),
        "verdicts": {key: total[key] for key in (*DECIDED, "timed out")},
    }


# ---------------------------------------------------------------- what it cost


def price_of(model: str, file: Path) -> dict | None:
    """A model's entry in a price list, also under a dated version of its name; None if there is none.

    Raises:
        ValueError: if an entry lacks a price, its source or its date, or a price is not a number or negative.
    """
    for name, entry in read_yaml(file).items():
        if missing := {"input", "cached", "output", "source", "date"} - set(entry if isinstance(entry, dict) else ()):
            raise ValueError(f"{file}: {name} lacks {', '.join(sorted(missing))}.")
        for key in ("input", "cached", "cache_write", "output"):
            value = entry.get(key, 0)
            if not (isinstance(value, int | float) and 0 <= value < math.inf):
                raise ValueError(f"{file}: {name} has {key}: {value!r}; write dollars per million tokens, 0 or more.")
        if model.startswith(str(name)) and DATED.fullmatch(model, len(str(name))):
            return entry
    return None


def dollars(usage: ModelUsage, price: dict) -> float:
    """What a response cost, from its own token counts. Output tokens include the reasoning."""
    cached, written = usage.input_tokens_cache_read or 0, usage.input_tokens_cache_write or 0
    full = usage.input_tokens * price["input"] + usage.output_tokens * price["output"]
    return (full + cached * price["cached"] + written * price.get("cache_write", price["input"])) / 1e6


def busy_seconds(samples: list[EvalSample]) -> float:
    """For how long at least one request was in flight, without the breaks between runs."""
    total = end = 0.0
    spans = sorted((datetime.fromisoformat(s.started_at), datetime.fromisoformat(s.completed_at)) for s in samples)
    for start, stop in ((a.timestamp(), b.timestamp()) for a, b in spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


# ---------------------------------------------------------------- the table


def summary_table(result: dict) -> str:
    """All measures of result.json that were measured, one per line."""

    def deductions(found: dict) -> dict[str, dict | None]:
        names = {"deductions proved": "soundness", "deductions per response": "deductions", "sentences read": "read_share"}
        return {name: found.get(key) for name, key in names.items()}

    measures = {
        "answers right": result["accuracy"],
        "… by the published grader": result["published_accuracy"],
        "puzzles solved completely": result["solved"],
        **{f"best of {k}": value for k, value in (result.get("best_of_k") or {}).items()},
        **{f"pass@{k}": value for k, value in (result.get("pass_at_k") or {}).items()},
        "answers unread": result["unread_answers"],
        **{f"right, {name}": value for name, value in result["by_difficulty"].items()},
        **{f"right, question of {kind}": value for kind, value in result["by_question"].items()},
        **deductions(result),
        **{f"{name}, extracted": value for name, value in deductions(result.get("extracted") or {}).items()},
        "completion tokens": result["completion_tokens"],
        "dollars per response": result["dollars"],
    }
    rows = []
    for name, value in measures.items():
        if value and value["n"]:
            form = ".6f" if name.startswith("dollars") else ".1f" if name.startswith("completion") else ".3f"
            ends = "" if value["low"] is None else f"{value['low']:{form}} to {value['high']:{form}}"
            rows.append((name, f"{value['mean']:{form}}", ends, value["n"], value["puzzles"]))
    return text_table(("", "mean", "95 % interval", "n", "puzzles"), rows)
