"""Temporal Clue as an OpenEnv environment of one step: `reset` gives a puzzle, `step` grades the answer sheet.

uvicorn temporal_clue.openenv_server:app --port 8000
"""

import random
from typing import Any
from uuid import uuid4

from openenv.core.env_server.http_server import create_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import State

from puzzles.arguments import players_range
from puzzles.dataset import series
from puzzles.scenario import size_of
from rewards.accuracy import accuracy
from temporal_clue.openenv_client import TemporalClueAction, TemporalClueObservation


class TemporalClueEnvironment(Environment):
    """One puzzle, answered once. The reward is the fraction of questions answered correctly."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self):
        super().__init__()
        self._state = State(episode_id=str(uuid4()), step_count=0)
        self._row: dict[str, Any] | None = None

    def reset(
        self, seed: int | None = None, episode_id: str | None = None, *, difficulty: str | None = None,
        wording: str = "clear", players: tuple[int, int] | int | str = (1, 6), **counts: int,
    ) -> TemporalClueObservation:  # fmt: skip
        """The first puzzle of the series `seed` (by default a random one).

        Args:
            difficulty: the first of this band instead: easy, medium or hard.
            players: the range, within 1 to 6, that the size is drawn for: 3, "1-6" or [1, 6].
            counts: suspects, weapons, rooms, times and motives (see `puzzles.Size`), instead of a drawn size.
        """
        seed = random.randrange(2**32) if seed is None else seed
        options = {"size": size_of(**counts), "players": players_range(players)}
        self._row = next(series(seed, difficulty=difficulty, wording=wording, **options))
        self._state = State(episode_id=episode_id or str(uuid4()), step_count=0)
        columns = {name: self._row[name] for name in ("id", "seed", "index", "difficulty", "questions")}
        return TemporalClueObservation(prompt=self._row["prompt"][0]["content"], metadata=columns)

    def step(self, action: TemporalClueAction, timeout_s: float | None = None, **_: Any) -> TemporalClueObservation:
        """The grade of an answer sheet, and the solution; metadata: `solved` and `unread_answers`.

        Raises:
            RuntimeError: if there is no puzzle, or it has been answered.
        """
        if self._row is None or self._state.step_count:
            raise RuntimeError("there is no puzzle to answer: call reset first, and step once after it.")
        self._state.step_count += 1
        prompt, solution, metrics = self._row["prompt"][0]["content"], self._row["solution"], {}
        (reward,) = accuracy([action.answer], [solution], [prompt], log_metric=metrics.__setitem__)
        return TemporalClueObservation(prompt=prompt, solution=solution, done=True, reward=reward, metadata=metrics)

    @property
    def state(self) -> State:
        return self._state


app = create_app(
    TemporalClueEnvironment,
    TemporalClueAction,
    TemporalClueObservation,
    env_name="temporal_clue",
    max_concurrent_envs=256,
)
