"""The sentences of deduction_sentences.json, how well they are read, and texts that should be read quickly."""

import json
from pathlib import Path

from puzzles.scenario import Setting
from puzzles.sentences import read_sentence as read_clue
from rewards.deductions import canonical, read

SET = json.loads(Path(__file__).with_suffix(".json").read_text())  # by authors who had not seen the grammar
SETTING = Setting(
    ("Miss Scarlet", "Professor Plum", "Mrs. White", "Mr. Green"),
    ("Candlestick", "Rope", "Lead Pipe"),
    ("Hall", "Study", "Fountain", "Carriage House"),
    2,
    ("11:30 PM", "12:00 AM", "12:30 AM"),
    (("Fear", 1), ("Pride", 1), ("Hatred", 1), ("Revenge", 1)),
)
CLUES = frozenset(
    read_clue(clue, SETTING)
    for clue in (
        "The suspect motivated by Hatred moved the Candlestick from the Carriage House to the Study at 12:30 AM",
        "The suspect motivated by Pride was in the Hall at 12:00 AM",
        "The Rope was in the room just north of Mrs. White at 12:30 AM",
        "Mr. Green was in the Hall at 11:30 PM or Mr. Boddy was at the Fountain at 12:30 AM",
        "Miss Scarlet and the Lead Pipe were in the Study together at least once",
        "Mr. Boddy was in the same room as Professor Plum at 12:00 AM",
        "Mrs. White is motivated by Fear",
        "Miss Scarlet was in the Study at 11:30 PM",
    )
)


def stated(text, setting=SETTING, clues=CLUES):
    return [(canonical(a.statement), a.holds) for sentence in read(text, setting, clues) for a in sentence.assertions]


def gold(entry):
    return [(canonical(read_clue(e["statement"], SETTING)), e["holds"]) for e in entry["expect"]]


def precision_and_recall(entries):
    """Of all deductions, and the texts in which something is read that the set does not have."""
    right = found = wanted = 0
    wrong = []
    for entry in entries:
        got, want = stated(entry["text"]), gold(entry)
        right += sum(g in want for g in got)
        found += len(got)
        wanted += len(want)
        if any(g not in want for g in got):
            wrong.append(entry["text"])
    return right / found, right / wanted, wrong


REPEATED = (  # each is cut to 100,000 characters
    "neither " * 12_000 + "Plum nor Green was in the Hall",
    f"{'neither Plum nor ' * 60}Green is guilty. " * 100,
    "Suppose " + "that rules out " * 6_700,
    f"{'that rules out ' * 60}Plum as x. " * 110,
    "Plum was " + "in the Hall at 12:00 AM, at 12:30 AM " * 2_700 + "x",
    f"Plum was {'in the Hall at 12:00 AM, at 12:30 AM ' * 24}x. " * 100,
    f"{'Plum, ' * 60}{'in the Hall, ' * 20}at 12:00 AM{', 12:30 AM' * 20}. " * 100,
    f"Plum, {'Green, White, ' * 20}were {'in the Hall, in the Study, ' * 8}at 12:00 AM{' and 12:30 AM' * 10}. " * 100,
    "contradiction " * 7_000 + "?",
    "a case " * 14_000,
    "Suppose " + "Plum was in the Hall at 12:00 AM, so " * 2_600,
    "Suppose Plum was in the Hall at 12:00 AM. " * 2_300 + "So Plum was not in the Hall at 12:00 AM. " * 20,
    "Plum was in the Hall at 12:00 AM. Contradiction. No. " * 1_900,
    "| 12:00 AM " * 5_000 + "|\n" + "| Plum | Hall |\n" * 3_000,
    "it is not possible that " * 4_000 + "Plum was in the Hall at 12:00 AM",
    "if and only if or " * 5_500,
    "(" * 100_000,
    "~~" * 50_000,
    "<s>" * 33_000,
    "\n" * 100_000,
    "Hall. " * 16_000,
    "".join(f"Hall a{i}\n" for i in range(9_000)),
    "".join(f"Plum; Rope a{i}. " for i in range(6_000)),
    f"{'so ' * 320}Plum was in the Hall at 12:00 AM. " * 100,
    "Plum was in the Hall at 12:00 AM. Suppose Green is the murderer. " + "Hall. Impossible. " * 6_000,  # retracted each time
    "Plum. By cases on Green.\n" + "Hall.\nImpossible.\n" * 6_000,
)
