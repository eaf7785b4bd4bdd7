"""Temporal Clue as a taskset of verifiers: `vf-eval temporal-clue`, and prime-rl."""

from collections.abc import Iterator

import verifiers.v1 as vf

from puzzles.dataset import series
from puzzles.scenario import size_of
from rewards.accuracy import accuracy
from rewards.deductions import cached_judge


class TemporalClueConfig(vf.TasksetConfig):
    seed: int = 0
    """The series of puzzles."""
    first: int = 0
    """Index of the first puzzle in the series; far from that of training for an evaluation."""
    difficulty: str | None = None
    """Only puzzles of this band: easy, medium or hard."""
    wording: str = "clear"
    """How the prompt is framed: clear, published or compact."""
    players: tuple[int, int] = (1, 6)
    """The range, within 1 to 6, that sizes are drawn for, unless a count below is given."""
    suspects: int | None = None
    weapons: int | None = None
    rooms: int | None = None
    times: int | None = None
    motives: int | None = None


class TemporalClueData(vf.TaskData):
    solution: list[str]
    """The right answers, in the order of the questions."""
    difficulty: str


class TemporalClueTask(vf.Task[TemporalClueData]):
    @vf.reward
    async def accuracy(self, trace: vf.Trace) -> float:
        """The fraction of questions answered correctly."""
        return accuracy([trace.last_reply], [self.data.solution], [self.data.prompt])[0]

    @vf.metric
    async def answers(self, trace: vf.Trace) -> dict[str, float]:
        """`solved` (every answer right) and `unread_answers` (the share that could not be read)."""
        metrics: dict[str, float] = {}
        accuracy([trace.last_reply], [self.data.solution], [self.data.prompt], log_metric=metrics.__setitem__)
        return metrics

    @vf.metric
    async def deductions(self, trace: vf.Trace) -> dict[str, float]:
        """`soundness`, the share of the stated deductions that the solver proves; absent if none could be decided."""
        texts = [text for m in trace.assistant_messages for text in (m.reasoning_content, m.content) if text]
        soundness = cached_judge(self.data.prompt).judge("\n\n# Answer\n\n".join(texts)).soundness
        return {} if soundness is None else {"soundness": soundness}


class TemporalClueTaskset(vf.Taskset[TemporalClueTask, TemporalClueConfig]):
    """Generated puzzles, without end."""

    INFINITE = True

    def load(self) -> Iterator[TemporalClueTask]:
        c = self.config
        size = size_of(suspects=c.suspects, weapons=c.weapons, rooms=c.rooms, times=c.times, motives=c.motives)
        options = {"difficulty": c.difficulty, "wording": c.wording, "size": size, "players": c.players}
        for row in series(c.seed, c.first, **options):
            fields = {name: row[name] for name in ("id", "solution", "difficulty")}
            yield TemporalClueTask(TemporalClueData(prompt=row["prompt"][0]["content"], **fields), c.task)
