"""Temporal Clue as a procedural dataset of reasoning-gym.

import reasoning_gym
import temporal_clue.procedural  # registers it

puzzles = reasoning_gym.create_dataset("temporal_clue", seed=7, size=100, suspects=4)
puzzles.score_answer(response, entry=puzzles[0])
"""

from dataclasses import dataclass
from typing import Any

from reasoning_gym.factory import ProceduralDataset, register_dataset

from puzzles import generate
from puzzles.dataset import row
from puzzles.prompts import WORDINGS, lettered
from puzzles.scenario import size_of
from rewards.accuracy import accuracy


@dataclass
class TemporalClueConfig:
    """Which puzzles: entry i is puzzle i of the series `seed`.

    Args:
        size: how many entries.
        players: range, within 1 to 6, that the size of each puzzle is drawn for, unless one of the counts below is given.
    """

    seed: int | None = None
    size: int = 500
    wording: str = "clear"
    players: tuple[int, int] = (1, 6)
    suspects: int | None = None
    weapons: int | None = None
    rooms: int | None = None
    times: int | None = None
    motives: int | None = None

    def validate(self) -> None:
        """Raise AssertionError, as reasoning-gym's own configurations do, for what cannot be."""
        assert self.size > 0, f"size={self.size} must be positive"
        assert self.wording in WORDINGS, f"wording={self.wording!r} must be one of {', '.join(WORDINGS)}"
        low, high = self.players
        assert 1 <= low <= high <= 6, f"players={self.players} must be a range within 1 to 6, lowest first"
        try:
            self.options()
        except ValueError as error:
            raise AssertionError(str(error)) from error

    def options(self) -> dict[str, Any]:
        """The keyword arguments of `generate`."""
        counts = {name: getattr(self, name) for name in ("suspects", "weapons", "rooms", "times", "motives")}
        return {"size": size_of(**counts), "players": tuple(self.players)}


class TemporalClueDataset(ProceduralDataset):
    """An entry's `answer` is the whole answer sheet; its metadata are the columns of a row (puzzles/dataset/rows.py)."""

    def __init__(self, config: TemporalClueConfig):
        super().__init__(config=config, seed=config.seed, size=config.size)

    def __getitem__(self, idx: int) -> dict[str, Any]:
        options = self.config.options()
        columns = row(generate(self.seed, idx, **options), self.config.wording, **options)
        metadata = columns | {"source_dataset": "temporal_clue", "source_index": idx}
        return {"question": columns["prompt"][0]["content"], "answer": lettered(columns["solution"]), "metadata": metadata}

    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> float:
        """The fraction of questions answered correctly, in whatever form `rewards/accuracy.py` reads; 0.0 for None."""
        return accuracy([answer or ""], [entry["metadata"]["solution"]], [entry["question"]])[0]


register_dataset("temporal_clue", TemporalClueDataset, TemporalClueConfig)
