"""Rewards for completions: what is a good answer to a puzzle."""
