"""Temporal Clue as a task of Inspect (inspect.aisi.org.uk), with the samples and the scorer of `make benchmark`.

inspect eval temporal_clue/temporal_clue --model openai/gpt-5 -T puzzles=100 -T difficulty=hard
inspect eval environments/temporal_clue/inspect_task.py@temporal_clue --model …      # the same, from a checkout
"""

from itertools import islice

from inspect_ai import Task, task

from puzzles.arguments import players_range
from puzzles.dataset import FRESH, series
from puzzles.scenario import size_of
from recipes.evaluation.task import dataset_rows, task_of, to_samples


@task
def temporal_clue(
    puzzles: int = 64, samples: int = 1, seed: int = 0, difficulty: str | None = None, wording: str = "clear",
    players: tuple[int, int] | int | str = (1, 6), dataset: str | None = None, split: str = "test", **size: int,
) -> Task:  # fmt: skip
    """Fresh puzzles, which no training run of this repository with that seed has seen; or the first ones of a dataset.

    Args:
        samples: responses to each puzzle.
        difficulty: only puzzles of this band: easy, medium or hard.
        players: the range, within 1 to 6, that sizes are drawn for: 3, 1-6 or 1,6.
        dataset: a folder, a file or a dataset on the Hub; its rows replace the generated ones.
        size: suspects, weapons, rooms, times and motives (see `puzzles.Size`), instead of a drawn size.
    """
    if dataset:
        rows, source = dataset_rows(dataset, split, puzzles)
    else:
        options = {"size": size_of(**size), "players": players_range(players)}
        fresh = series(seed, FRESH, difficulty=difficulty, wording=wording, **options)
        rows, source = list(islice(fresh, puzzles)), f"fresh puzzles, seed {seed}"
    return task_of(to_samples(rows), source, samples)
