"""What temporal_clue.yaml calls: the puzzles, and the grader."""

from itertools import islice

from datasets import Dataset

from puzzles.arguments import players_range
from puzzles.dataset import FRESH, load_splits, series
from puzzles.prompts import lettered
from puzzles.scenario import size_of
from rewards.accuracy import accuracy, answers_of


def load(
    dataset: str | None = None, puzzles: int = 64, seed: int = 0, difficulty: str | None = None, wording: str = "clear",
    players: tuple[int, int] | int | str = (1, 6), size: dict | None = None, **_,
) -> dict[str, Dataset]:  # fmt: skip
    """The splits of a folder or a Hub dataset, or fresh puzzles as the split `test`; the arguments come from --metadata."""
    if dataset:
        return load_splits(dataset)
    options = {"size": size_of(**(size or {})), "players": players_range(players)}
    fresh = series(seed, FRESH, difficulty=difficulty, wording=wording, **options)
    return {"test": Dataset.from_list(list(islice(fresh, puzzles)))}


def prompt(doc: dict) -> str:
    return doc["prompt"] if isinstance(doc["prompt"], str) else doc["prompt"][-1]["content"]


def answer_sheet(doc: dict) -> str:
    return lettered(answers_of(doc["solution"]))


def process_results(doc: dict, results: list[str]) -> dict[str, float]:
    """`accuracy`, `solved` and `unread_answers` of the first response."""
    metrics: dict[str, float] = {}
    (score,) = accuracy(results[:1], [doc["solution"]], [prompt(doc)], log_metric=metrics.__setitem__)
    return {"accuracy": score, **metrics}
