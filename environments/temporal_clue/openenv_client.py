"""The typed OpenEnv client of the server in openenv_server.py, and the types that the two exchange.

with TemporalClueEnv(base_url="http://localhost:8000") as env:
    puzzle = env.reset(seed=7, difficulty="medium").observation.prompt
    graded = env.step(TemporalClueAction(answer="A. Mrs. White\\nB. Rope"))
"""

from typing import Any

from openenv.core.client_types import StepResult
from openenv.core.env_client import EnvClient
from openenv.core.env_server.types import Action, Observation, State
from pydantic import Field


class TemporalClueAction(Action):
    answer: str = Field(description="a completion that ends with the answer sheet: A. …, B. …")


class TemporalClueObservation(Observation):
    """`reward` is the fraction of questions answered correctly, once the puzzle has been answered.

    `metadata` describes the puzzle before the answer (id, seed, index, difficulty, questions) and grades it afterwards
    (solved, unread_answers).
    """

    prompt: str = Field(default="", description="the puzzle and its questions")
    solution: list[str] | None = Field(default=None, description="the right answers, once the puzzle has been answered")


class TemporalClueEnv(EnvClient[TemporalClueAction, TemporalClueObservation, State]):
    """`reset(seed=…, …)` takes what `TemporalClueEnvironment.reset` takes; a `with` block may also be asynchronous."""

    def _step_payload(self, action: TemporalClueAction) -> dict[str, Any]:
        return action.model_dump()

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[TemporalClueObservation]:
        seen = TemporalClueObservation(**payload["observation"], reward=payload["reward"], done=payload["done"])
        return StepResult(seen, seen.reward, seen.done, seen.metadata)

    def _parse_state(self, payload: dict[str, Any]) -> State:
        return State(**payload)
