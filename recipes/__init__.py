"""GRPO on Temporal Clue with TRL: the recipe, its planner, its evaluation, and a tiny model to try it on."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
