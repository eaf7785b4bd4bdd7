"""Temporal Clue in other people's harnesses, a module for each of them.

inspect_task.py    Inspect
taskset.py         verifiers, which finds its taskset here, and the harness that asks once and offers no tools
procedural.py      reasoning-gym
openenv_server.py  OpenEnv's server
openenv_client.py  its typed client
verl_reward.py     the reward function for verl
"""

__all__ = ["NullHarness", "TemporalClueTaskset"]


def __getattr__(name: str):
    """What verifiers looks for, imported only then: the other harnesses do without verifiers."""
    if name == "TemporalClueTaskset":
        from temporal_clue.taskset import TemporalClueTaskset

        return TemporalClueTaskset
    if name == "NullHarness":
        from verifiers.v1.harnesses.null import NullHarness

        return NullHarness
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
