"""GRPO on Temporal Clue with TRL: the recipe, its planner, its evaluation, and a tiny model to try it on."""
