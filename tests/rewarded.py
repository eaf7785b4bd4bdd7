"""Run recipes/grpo.py with a reward that the untrained SmolLM2 earns; used by tests/test_smollm2.py.

  accelerate launch … tests/rewarded.py --config recipes/smollm2-135m.yaml …

As downloaded, that model fills in no answer sheet: all rewards would be 0, and nothing would be learned. Here the reward is the
share of vowels in a completion.
"""

import functools
import runpy

import rewards.accuracy
from puzzles.messages import text_of

graded = rewards.accuracy.accuracy


@functools.wraps(graded)
def vowels(completions, *args, **kwargs):
    graded(completions, *args, **kwargs)  # which logs what could not be read
    return [sum(text.count(letter) for letter in "aeiou") / (len(text) + 1) for text in map(text_of, completions)]


if __name__ == "__main__":
    rewards.accuracy.accuracy = vowels
    runpy.run_path("recipes/grpo.py", run_name="__main__")
