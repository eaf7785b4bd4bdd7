"""Deductions that a completion states: read from its text, then proved or refuted by the solver.

reader.py     what a text asserts: lines, lists, suppositions, what is taken back
sentence.py   what one sentence does: assert, hedge, suppose, reject
clause.py     what one clause asserts: statements about the night
names.py      names in a text, and the marks that stand for them
forms.py      the forms of statements: to teach the reader one, add a line
grammar.py    the patterns of what stands around statements
phrases.py    the phrases in those patterns: to teach the reader one, add a line
judge.py      the solver's verdict on each statement
reward.py     the optional reward, with TRL's signature
view.py       a completion with each deduction coloured by verdict: python -m rewards.deductions.view
llm_extractor.py  optional: a model puts prose into sentences of known form
"""

from rewards.deductions.clause import Assertion, canonical
from rewards.deductions.judge import DECIDED, Judge, cached_judge
from rewards.deductions.reader import read
from rewards.deductions.reward import deductions, reward_of

__all__ = [
    "DECIDED",
    "Assertion",
    "Judge",
    "cached_judge",
    "canonical",
    "deductions",
    "read",
    "reward_of",
]
