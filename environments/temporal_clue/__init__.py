"""Temporal Clue in other people's harnesses, a module for each of them.

inspect_task.py    Inspect
taskset.py         verifiers
procedural.py      reasoning-gym
openenv/           OpenEnv
lm_eval/           lm-evaluation-harness
"""
