"""Temporal Clue puzzles: nights in Tudor Mansion, and minimal clue sets with exactly one solution."""
