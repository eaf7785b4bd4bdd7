"""Temporal Clue puzzles: nights in Tudor Mansion, and minimal sets of clues with exactly one solution.

from puzzles import generate, prompt

case = generate(seed=7, index=0)
print(prompt(case.puzzle), case.solution)
"""

from puzzles.clues import Puzzle
from puzzles.generator import Case, generate
from puzzles.prompts import prompt, read_prompt
from puzzles.scenario import Night, Size

__all__ = ["Case", "Night", "Puzzle", "Size", "generate", "prompt", "read_prompt"]
