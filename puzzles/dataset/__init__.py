"""Puzzles as a Hugging Face dataset: rows that TRL's trainers accept, and complete dataset folders.

rows.py      a row: its columns, how to make it (`build`) and remake it (`regenerate`), the puzzle it describes
load.py      rows of any Parquet, JSON or JSON Lines file, folder or Hub dataset
collect.py   search the series for puzzles of the wanted splits and bands, with a journal to resume from
folder.py    make a dataset folder: locked, resumable, checked, and present only when complete
card.py      the dataset card
hub.py       publishing to the Hub
__main__.py  the command line: `python -m puzzles.dataset --help`
"""

from puzzles.dataset.load import check_complete, load_splits, read_rows
from puzzles.dataset.rows import FEATURES, FRESH, HELD_OUT, build, chance, puzzle_of, regenerate, row, series

__all__ = [
    "FEATURES",
    "FRESH",
    "HELD_OUT",
    "build",
    "chance",
    "check_complete",
    "load_splits",
    "puzzle_of",
    "read_rows",
    "regenerate",
    "row",
    "series",
]
