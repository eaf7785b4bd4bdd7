"""Reading free text: hand-written sets, every sentence of the format, and what may never be taken for a deduction."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from puzzles.clues import At, facts
from puzzles.english import read as read_clue
from puzzles.english import read_prompt, render
from puzzles.generate import candidates, generate
from puzzles.scenario import Setting, Size
from rewards.prose import Assertion, plain, read

# Written by other authors than the grammar's, who had not seen it: sentences, and whole completions.
SET = json.loads((Path(__file__).parent / "deduction_sentences.json").read_text())
TEXTS = json.loads((Path(__file__).parent / "deduction_texts.json").read_text())
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
    return [(plain(a.statement), a.holds) for sentence in read(text, setting, clues) for a in sentence.assertions]


def gold(entry):
    return [(plain(read_clue(e["statement"], SETTING)), e["holds"]) for e in entry["expect"]]


def precision_and_recall(entries):
    """Over all deductions, and the texts that are read otherwise than the set says."""
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


def test_the_hand_written_set():
    sure = [entry for entry in SET if entry["category"] != "ambiguous"]  # where a reading would not be wrong
    assert len(sure) >= 150
    precision, recall, wrong = precision_and_recall(sure)
    print(f"{len(sure)} texts: precision {precision:.3f}, recall {recall:.3f}")
    assert precision >= 0.99, wrong
    assert recall >= 0.90


@pytest.mark.parametrize("which", ["adapted", "unseen"])
def test_completions(which):
    """Completions as different models would write them, and passages: every deduction each time that it is asserted.

    The grammar has been adapted to the first ones, never to the unseen ones.
    """
    puzzles = [read_prompt(text) for text in TEXTS["prompts"]]
    right = found = wanted = 0
    wrong = []
    entries = [entry for entry in TEXTS["texts"] if entry["set"] == which]
    for entry in entries:
        puzzle = puzzles[entry["puzzle"]]
        got = Counter(stated(entry["text"], puzzle.setting, frozenset(puzzle.clues)))
        want = Counter((plain(read_clue(e["statement"], puzzle.setting)), e["holds"]) for e in entry["expect"])
        right += (got & want).total()
        found += got.total()
        wanted += want.total()
        wrong += list(got - want)
    print(f"{len(entries)} texts, {which}: precision {right / found:.3f}, recall {right / wanted:.3f}")
    assert right / found >= 0.99, wrong
    assert right / wanted >= 0.60


@pytest.mark.parametrize(
    "category", ["hedged", "supposition", "restated clue", "question or plan", "retraction", "unknown name", "attack"]
)
def test_what_is_no_deduction_is_not_taken_for_one(category):
    entries = [entry for entry in SET if entry["category"] == category]
    assert len(entries) >= 8
    for entry in entries:
        assert set(stated(entry["text"])) <= set(gold(entry)), entry["text"]


@pytest.mark.parametrize("index", range(8))
def test_every_sentence_of_the_format_is_read_back(index):
    case = generate(20261124, index)
    s = case.puzzle.setting
    rng = random.Random(index)
    everything = [*candidates(rng, case.night), *facts(case.night)]
    for statement in rng.sample(everything, min(150, len(everything))):
        sentence = render(statement, s)
        for text in (
            sentence,
            f"So {sentence}.",
            f"- **{sentence}**",
            f"From clue 3 it follows that {sentence[0].lower()}{sentence[1:]}.",
        ):
            assert [(plain(a.statement), a.holds) for a in sum((x.assertions for x in read(text, s)), ())] == [
                (plain(statement), True)
            ], text
        assert stated(sentence, s, frozenset({statement})) == []
        for text in (
            f"Suppose {sentence}.",
            f"If {sentence}, then so be it.",
            f"Perhaps {sentence}.",
            f"{sentence}?",
            f'Somebody said "{sentence}".',
        ):
            assert stated(text, s, frozenset()) == [], text


def test_negations_are_read_as_such():
    for index in range(6):
        case = generate(20261125, index, Size(4, 3, 6, 3, 4))
        s = case.puzzle.setting
        for fact in random.Random(index).sample([f for f in facts(case.night) if isinstance(f, At)], 10):
            sentence = render(fact, s)
            for verb in ("was not", "wasn't", "cannot have been", "could not be", "is not", "was never"):
                assert stated(sentence.replace(" was ", f" {verb} "), s, frozenset()) == [(fact, False)], sentence
            assert stated(f"There is no way that {sentence}.", s, frozenset()) == [(fact, False)]


def test_a_sentence_is_read_or_set_aside_or_unread():
    fates = [
        s.fate
        for s in read(
            "Plum was in the Hall at 12:00 AM. Perhaps Green was in the Hall at 12:00 AM. Plum hid the Rope.", SETTING
        )
    ]
    assert fates == ["read", "aside", "unread"]
    assert read("What a night it was. Nobody knows.", SETTING) == []
    (sentence,) = read("\n\nOh.\nPlum was in the Hall at 12:00 AM.\n", SETTING)
    assert (sentence.start, sentence.end) == (6, 40)
    assert sentence.assertions == (Assertion(At("Professor Plum", "Hall", "12:00 AM")),)


def test_no_text_is_too_strange_or_too_long():
    """No pattern backtracks: soups of names and of the words between them are read, or not, in no time."""
    names = [
        *SETTING.suspects,
        *SETTING.weapons,
        *SETTING.rooms,
        *SETTING.times,
        *SETTING.motive_names,
        "Mr. Boddy",
        "the murderer",
    ]
    between = """was in the at and or not is so because , . ; : if suppose neither nor either with killed by from to motivated
        just north of must be cannot | - ( ) # * → ' " ? contradiction then both <S0>"""
    glue = [*between.split(), "\n", "\x00", "\ud800"]
    for seed in range(300):
        rng = random.Random(seed)
        read(" ".join(rng.choice(names if rng.random() < 0.5 else glue) for _ in range(300)), SETTING, CLUES)
    for words in (*glue, *names, " and ".join(SETTING.suspects), "Plum was, so", "from the 1 and", "Plum was in the Hall and"):
        for count in (30, 100_000 // len(words)):
            read(f"{words} " * count, SETTING, CLUES)
            read(f"{words} " * count + "Plum was in the Hall at 12:00 AM.", SETTING, CLUES)
