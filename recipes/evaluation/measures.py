"""What the responses of a benchmark amount to: accuracy, deductions, tokens, dollars, each with n and a 95 % interval."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import yaml
from inspect_ai.log import EvalSample

from puzzles.difficulty import BANDS
from puzzles.tables import text_table
from recipes.evaluation.intervals import ratio
from rewards.deductions.judge import DECIDED

DATED = re.compile(r"(-\d{4}-?\d{2}-?\d{2}|-latest)?$")  # what may follow a model's name in the list of prices
KINDS = ("murderer", "weapon", "room", "time", "motive", "motives", "places")  # of questions; the last two are the bonus


def price_of(model: str, file: Path) -> dict | None:
    """The entry of a model in a list of prices, also under a dated name; None if there is none.

    Raises:
        ValueError: if an entry lacks a price, its source or its date.
    """
    for name, entry in (yaml.safe_load(file.read_text()) or {}).items():
        if missing := {"input", "cached", "output", "source", "date"} - set(entry):
            raise ValueError(f"{file}: {name} lacks {', '.join(sorted(missing))}.")
        if model.startswith(name) and DATED.fullmatch(model, len(name)):
            return entry
    return None


def dollars(sample: EvalSample, price: dict) -> float:
    """What a response cost, from its own token counts. Reasoning is a part of the output tokens."""
    usage = sample.output.usage
    cached, written = usage.input_tokens_cache_read or 0, usage.input_tokens_cache_write or 0
    full = usage.input_tokens * price["input"] + usage.output_tokens * price["output"]
    return (full + cached * price["cached"] + written * price.get("cache_write", price["input"])) / 1e6


def busy_seconds(samples: list[EvalSample]) -> float:
    """For how long at least one response was under way, breaks between runs left out."""
    total = end = 0.0
    spans = sorted((datetime.fromisoformat(s.started_at), datetime.fromisoformat(s.completed_at)) for s in samples)
    for start, stop in ((a.timestamp(), b.timestamp()) for a, b in spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def summary(samples: list[EvalSample], price: dict | None, gpu_dollars: float | None) -> dict:
    """All measures of a benchmark, each with its mean, 95 % interval over puzzles, n, and number of puzzles.

    Args:
        samples: those that were answered.
        price: dollars per million tokens.
        gpu_dollars: dollars per hour of one's own deployment, shared out by completion tokens; goes before `price`.
    """
    by_puzzle: dict[int, list[EvalSample]] = defaultdict(list)
    for sample in samples:
        by_puzzle[sample.id].append(sample)

    def over(measure: Callable[[EvalSample], tuple[float, float]]) -> dict:
        """The ratio of two things, each summed up over responses."""
        sums = [np.sum([measure(sample) for sample in some], axis=0) for some in by_puzzle.values()]
        return ratio([top for top, _ in sums], [bottom for _, bottom in sums])

    result = {key: over(lambda s, key=key: (graded(s)[key], 1)) for key in ("accuracy", "published_accuracy", "solved")}
    result["unread_answers"] = over(unread) if all("unread" in s.scores["grader"].metadata for s in samples) else None
    result["by_difficulty"] = {name: over(partial(right_of_band, name=name)) for name in BANDS}
    result["by_question"] = {kind: over(partial(right_of_kind, kind=kind)) for kind in KINDS}
    tallies = [(s.id, s.scores["grader"].metadata.get("deductions")) for s in samples]
    result |= stated([(puzzle, tally) for puzzle, tally in tallies if tally])
    result |= {"completion_tokens": None, "dollars": None, "seconds": busy_seconds(samples)}
    if samples and all(s.output.usage for s in samples):
        tokens = sum(s.output.usage.output_tokens for s in samples)
        result["completion_tokens"] = over(lambda s: (s.output.usage.output_tokens, 1))
        result["tokens_per_second"] = tokens / result["seconds"]
        if gpu_dollars is not None:
            a_token = gpu_dollars / 3600 * result["seconds"] / max(tokens, 1)
            result["dollars"] = over(lambda s: (a_token * s.output.usage.output_tokens, 1))
        elif price:
            result["dollars"] = over(lambda s: (dollars(s, price), 1))
    return result


def stated(tallies: list[tuple[int, dict[str, int]]]) -> dict:
    """Deductions: the share proved, how many are stated in a response, and the share of sentences that could be read.

    Args:
        tallies: the puzzle and `Judgement.tally` of each response. Logs from before there was one have none: all is None.
    """
    if not tallies:
        return dict.fromkeys(("soundness", "deductions", "read_share", "verdicts"))
    by_puzzle: dict[int, Counter[str]] = defaultdict(Counter)
    for puzzle, tally in tallies:
        by_puzzle[puzzle].update(tally, responses=1)

    def over(top: tuple[str, ...], bottom: tuple[str, ...]) -> dict:
        return ratio(*([sum(sums[key] for key in keys) for sums in by_puzzle.values()] for keys in (top, bottom)))

    total = sum(by_puzzle.values(), Counter())
    return {
        "soundness": over(("proved",), DECIDED),
        "deductions": over(DECIDED, ("responses",)),
        "read_share": over(("read",), ("read", "unread")),
        "verdicts": {key: total[key] for key in (*DECIDED, "timed out")},
    }


def graded(sample: EvalSample) -> dict[str, float]:
    return sample.scores["grader"].value


def unread(sample: EvalSample) -> tuple[float, float]:
    """How many questions no answer could be read for (rewards/accuracy.py), and how many were asked."""
    found = sample.scores["grader"].metadata
    return found["unread"], len(found["right"])


def right_of_band(sample: EvalSample, name: str) -> tuple[float, float]:
    """The share of answers right, and that it counts: both 0 if the puzzle is of another band."""
    here = sample.metadata["difficulty"] == name
    return graded(sample)["accuracy"] * here, float(here)


def right_of_kind(sample: EvalSample, kind: str) -> tuple[float, float]:
    """How many questions of a kind were answered correctly, and how many were asked."""
    right = [r for k, r in zip(sample.metadata["kinds"], sample.scores["grader"].metadata["right"], strict=True) if k == kind]
    return sum(right), len(right)


def counts(samples: list[EvalSample]) -> dict[str, int]:
    """How many responses were asked for, came, came cut off, refused or empty, never came, and what had to be asked again.

    An empty one ended by itself and says nothing, or nothing after what it thinks.
    """
    answered = [s for s in samples if s.scores and not s.error]
    stops = Counter(s.output.stop_reason for s in answered)
    silent = [s.scores["grader"].metadata.get("silent", not s.output.completion.strip()) for s in answered]
    return {
        "asked": len(samples),
        "answered": len(answered),
        "cut_off": stops["max_tokens"] + stops["model_length"],
        "refused": stops["content_filter"],
        "empty": sum(s.output.stop_reason == "stop" and nothing for s, nothing in zip(answered, silent, strict=True)),
        "failed": len(samples) - len(answered),
        "repeated_requests": sum(event.retries or 0 for s in samples for event in s.events if event.event == "model"),
    }


def told_deductions(found: dict) -> dict[str, dict | None]:
    """The measures of `stated`, under their names in the table."""
    named = {"deductions proved": "soundness", "deductions a response": "deductions", "sentences read": "read_share"}
    return {name: found.get(key) for name, key in named.items()}


def table(result: dict) -> str:
    rows = []
    named = {
        "answers right": result["accuracy"],
        "… by the published grader": result["published_accuracy"],
        "whole puzzles solved": result["solved"],
        "answers unread": result["unread_answers"],
        **{f"right, {name}": value for name, value in result["by_difficulty"].items()},
        **{f"right, question of {kind}": value for kind, value in result["by_question"].items()},
        **told_deductions(result),
        **{f"{name}, extracted": value for name, value in told_deductions(result.get("extracted") or {}).items()},
        "completion tokens": result["completion_tokens"],
        "dollars a response": result["dollars"],
    }
    for name, value in named.items():
        if value and value["n"]:
            form = ".6f" if name.startswith("dollars") else ".1f" if name.startswith("completion") else ".3f"
            ends = "" if value["low"] is None else f"{value['low']:{form}} to {value['high']:{form}}"
            rows.append((name, f"{value['mean']:{form}}", ends, value["n"], value["puzzles"]))
    return text_table(("", "mean", "95 % interval", "n", "puzzles"), rows)
