"""The certifier: sound puzzles pass in every file format; each kind of sabotage is found and reported."""

import json
import random
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles import prompts, verify
from puzzles.clues import At, Moved, Murder, answer, facts
from puzzles.cpsat import find_night
from puzzles.dataset import load, puzzle_of, read_rows
from puzzles.generator import NothingToAskError, generate, minimal
from puzzles.prompts import ORIGINAL, WORDINGS, first_difference, prompt, read_prompt, wording_of
from puzzles.scenario import Size
from puzzles.verify import row_problems, text_problems
from tests import in_process
from tests.test_scenario import SIZES

PUBLISHED = Path(__file__).parents[2] / "shared" / "data" / "published_val.json"
needs_published = pytest.mark.skipif(
    not PUBLISHED.exists(), reason="the published validation puzzles are not part of this repository"
)
IN_ORIGINAL = pytest.param(ORIGINAL, marks=needs_published)


@cache
def published_sentences():
    texts = [row["prompt"] for row in json.loads(PUBLISHED.read_text())]
    return {prompts._digest(line): line for text in texts for line in text.split("\n")}


def written(puzzle, wording):
    """A puzzle in any wording; the sentences of the published prompts come from the published puzzles."""
    if wording in WORDINGS:
        return prompt(puzzle, wording)
    return "\n".join(published_sentences().get(line, line) for line in prompts._text(puzzle, wording).split("\n"))


def row(case, wording="clear", **columns):
    return {"prompt": written(case.puzzle, wording), "solution": list(case.solution.values()), **columns}


@pytest.fixture
def certify():
    """`python -m puzzles.verify` in this process: its exit code and everything that it prints."""

    def run(source, *args, num_proc="1"):
        done = in_process.run(verify.main, source, "--num-proc", num_proc, *args)
        return done.returncode, done.stdout + done.stderr

    return run


# ---------------------------------------------------------------- what is sound


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6), SIZES, st.sampled_from(WORDINGS))
def test_every_puzzle_is_certified_from_its_text(seed, size, wording):
    assert row_problems(row(generate(seed, 1, size), wording), reading="plain") == []


@needs_published
@settings(deadline=None, max_examples=5)
@given(st.integers(0, 10**6), SIZES)
def test_every_puzzle_is_certified_from_the_published_sentences(seed, size):
    assert row_problems(row(generate(seed, 1, size), ORIGINAL), reading="plain") == []


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), SIZES, st.integers(0, 2))
def test_puzzles_that_determine_only_their_answers_are_certified(seed, size, min_depth):
    try:
        case = generate(seed, 1, size, determine="answers", min_depth=min_depth)
    except NothingToAskError:
        return
    assert row_problems(row(case, determine="answers")) == []


def test_a_puzzle_of_the_published_mix_is_certified():
    assert row_problems(row(generate(2, 3, players=(2, 3)))) == []


def test_an_undetermined_night_is_a_problem_unless_only_the_answers_count():
    cases = (generate(1, i, determine="answers") for i in range(20))
    open_ = [case for case in cases if len(case.puzzle.clues) < 12 and row_problems(row(case)) != []]
    assert len(open_) >= 3
    for case in open_:
        assert "more than one night fits the clues" in row_problems(row(case))[0]
        assert row_problems(row(case, determine="answers")) == []


@pytest.mark.parametrize("wording", [*WORDINGS, IN_ORIGINAL])
def test_whitespace_and_meaningless_order_do_not_matter(wording):
    case = generate(7, 0, Size())
    sound = row(case, wording)
    text = sound["prompt"]
    assert row_problems({**sound, "prompt": "\n" + text.replace("\n", " \t\r\n") + "\n\n"}) == []
    s = case.puzzle.setting
    turned = replace(s, suspects=s.suspects[::-1], weapons=s.weapons[::-1], motives=s.motives[::-1])
    turned = replace(case.puzzle, setting=turned, clues=case.puzzle.clues[::-1])
    assert row_problems({**sound, "prompt": written(turned, wording)}) == []


def test_the_puzzle_is_the_last_message_of_the_user():
    sound = row(generate(7, 0, Size()))
    said = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes?"}]
    parts = [{"type": "text", "text": part} for part in sound["prompt"].partition("These are the clues")]
    for content in (sound["prompt"], parts):
        chat = [{"role": "system", "content": "Think."}, *said, {"role": "user", "content": content}]
        assert row_problems({**sound, "prompt": chat}) == []
        assert row_problems({**sound, "prompt": [*chat, {"role": "assistant", "content": "<think>"}]}) == []
    assert "no `prompt`" in row_problems({**sound, "prompt": [{"role": "system", "content": sound["prompt"]}]})[0]


# ---------------------------------------------------------------- sabotage


def sabotage():
    """Faulty rows, each with what should be reported."""
    case = generate(7, 0, Size())
    sound = row(case)
    text, solution = sound["prompt"], sound["solution"]
    first = next(line for line in text.splitlines() if line.startswith("- "))
    guilty = solution[0]
    innocent = next(x for x in case.puzzle.setting.suspects if x != guilty)
    letters = dict(zip("ABCDEFG", solution, strict=True))
    kinds = {
        "swapped answers": (text, [solution[1], solution[0], *solution[2:]], "but in the only night that fits it is"),
        "a wrong answer": (text, [innocent, *solution[1:]], f"answer is {innocent}, but in the only night"),
        "an answer that is none": (text, ["\ud800", *solution[1:]], "answer is '\\ud800', but in the only night"),
        "a missing answer": (text, solution[1:], "the solution has 6 answers for 7 questions"),
        "no answers": (text, None, "no `solution`"),
        "answers that are numbers": (text, [1] * 7, "no `solution` that is a list or a dict of strings"),
        "an answer to no question": (text, letters | {"I": "Hall"}, "are 'A, B, C, D, E, F, G, I', those of the questions A"),
        "an answer without a letter": (text, letters | {"C": None}, "the letters of the solution are 'A, B, D, E, F, G'"),
        "answers out of order": (text, {"B": solution[1]} | letters, "the letters of the solution are 'B, A, C, D, E, F, G'"),
        "a deleted clue": (text.replace(first + "\n", ""), solution, "more than one night fits the clues:"),
        "a redundant clue": (
            text.replace(first, f"{first}\n- Mr. Boddy was murdered by {guilty}"),
            solution,
            "can be left out",
        ),
        "a clue twice": (text.replace(first, f"{first}\n{first}"), solution, "can be left out"),
        "a contradiction": (text.replace(first, f"{first}\n- Mr. Boddy was murdered by {innocent}"), solution, "contradict"),
        "an unknown room": (text.replace("in the Hall at", "in the Attic at"), solution, "the room 'Attic', which is not one"),
        "an unknown sentence": (text.replace(first, "- The Attic was dark"), solution, "is not a sentence of a known form"),
        "a truncated text": (text[: text.index("Answer these")], solution, "the prompt has no questions"),
        "a text cut in its form": (text[: text.rindex("\n")], solution, "is the prompt complete?"),
    }
    return sound, {kind: ({"prompt": text, "solution": answers}, said) for kind, (text, answers, said) in kinds.items()}


def as_json(rows, folder):
    (folder / "rows.json").write_text(json.dumps(rows))
    return folder / "rows.json", "row", 0


def as_lines(rows, folder):
    (folder / "rows.jsonl").write_text("\n" + "\n\n".join(map(json.dumps, rows)))  # a blank line before each
    return folder / "rows.jsonl", "line", None


def as_parquet(rows, folder):
    """The letters of the solutions become fields of an Arrow struct, so that each row has all of them, some with None."""
    rows = [r for r in rows if isinstance(r["solution"], dict)]
    rows = [{**r, "prompt": [{"role": "user", "content": r["prompt"]}]} for r in rows]
    Dataset.from_list(rows).to_parquet(folder / "test.parquet")
    return folder / "test.parquet", "test", 0


def as_folder(rows, folder):
    rows = [r for r in rows if isinstance(r["solution"], list) and all(isinstance(x, str) for x in r["solution"])]
    rows = [r for r in rows if "\ud800" not in r["solution"]]
    (folder / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / "test.parquet", row_group_size=3)
    return folder, "test", 0


@pytest.mark.parametrize("form", [as_json, as_lines, as_folder])
def test_each_kind_of_sabotage_is_found(form, tmp_path, certify):
    sound, kinds = sabotage()
    source, name, _ = form([sound, *(faulty for faulty, _ in kinds.values())], tmp_path)
    there = [r for _, r in next(iter(read_rows(str(source)).values())).numbered()]
    code, said = certify(source)
    assert code == 1
    assert f"1 of {len(there)} puzzles" in said
    lines = [line for line in said.splitlines() if re.match(rf"{name} \d+: ", line)]
    assert len(lines) == len(there) - 1
    complaints = [complaint for faulty, complaint in kinds.values() if faulty in there]
    assert not any(".;" in line or line.endswith("..") for line in lines)
    for line, complaint, number in zip(lines, complaints, range(1, len(there)), strict=True):
        assert complaint in line
        assert line.startswith(f"{name} {2 * number + 2 if name == 'line' else number}:")


def test_a_deleted_clue_is_reported_with_another_night():
    (found,) = row_problems(sabotage()[1]["a deleted clue"][0])
    other, recorded = found.partition("fits the clues: ")[2].split("; ")[0].split(" or ")
    assert other != recorded
    assert other.split()[:2] == recorded.split()[:2]


# Puzzle 7/0 of the default size has all of these.
@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("W 1|2 E", "W 2|1 E", "is 'W 2|1 E', but in the clear wording it should be 'W 1|2 E'"),
        ("W 1|2 E", "W 1|2", "is 'W 1|2'"),
        ("W 1|2 E\nW 3|4 E", "W 1 E\nW 2 E\nW 3 E\nW 4 E", "is '  N N'"),
        ("2. Hall", "2. Conservatory", "'Conservatory' is the name of two"),
        ("2. Hall", "3. Hall", "is '3. Hall', but in the clear wording it should be '2. Hall'"),
        ("2. Hall", "2. Candlestick", "'Candlestick' is the name of two"),
        ("2. Hall", "2. Hal", "names the room 'Hall'"),
        ("• Mr. Green", "• Mr. Green\n• Mr. Green", "'Mr. Green' is the name of two"),
        ("• Mr. Green", "• Mr. Green\n• Mr. Boddy", "'Mr. Boddy' is the name of two"),
        (
            "• Mr. Green",
            "• Mr. Green\n• Colonel Mustard",
            "the motives (Hatred 1, Revenge 1, Betrayal 1) do not add up to the 4",
        ),
        ("• Poison", "• Poison\n• Poison", "'Poison' is the name of two"),
        ("• Poison", "• Poison\n• poison", "'poison' is not a name"),
        ("• Poison", "• Poison\n• Pistol", "'Pistol' is not a weapon of the game"),
        ("• Hatred", "• Hatred\n• Hatred", "'Hatred' is the name of two"),
        ("• Hatred", "• Hatred (1 suspect)", "is '• Hatred (1 suspect)', but"),
        ("• Hatred\n", "", "(Revenge 1, Betrayal 1) do not add up to the 3"),
        ("• 11:00 PM\n• 12:00 AM", "• 12:00 AM\n• 11:00 PM", "are not evenly 15, 30 or 60 minutes apart"),
        ("• 11:00 PM", "• 10:00 PM\n• 11:00 PM\n• 11:30 PM", "are not evenly"),
        ("• 11:00 PM", "• 23:00", "'23:00' is not a time"),
        ("the only suspect there", "not alone there", "murderer was not alone there"),
        ("exactly one of its", "at least one of its", "means that at least one of its"),
        ("stayed in that room", "left that room", "left that room"),
        ("stayed in that room", "\x1cstayed in that room", "stayed in that room"),
        ("• Poison\n", "• Poison\x1c\n", "'Poison\\x1c' is not a name"),
        ("2. Hall\n", "2. Hall\u2028\n", "names the room 'Hall', which is not one of"),
        ("And these bonus questions:", "\x0cAnd these bonus questions:", "And these bonus questions:"),
        ("And these bonus questions:", "And these bonus questions:\u2028", "And these bonus questions:"),
        ("Think it through", "Do not think it through", "Do not think it through"),
        ("in exactly this form", "in any form", "in any form"),
        ("B. WEAPON", "B. WEAPON\nPick any.", "but in the clear wording it should be 'C. ROOM'"),
        ("G. ROOM", "G. ROOM\nGood luck!", "but in the clear wording the text should end before it"),
        ("F. Where was the Lead Pipe", "F. Where was the Candlestick", "it asks twice: Where was the Candlestick at 12:00 AM?"),
        ("And these bonus questions:\n", "", "Where was the Candlestick at 12:00 AM? should be a bonus question"),
        ("And these bonus questions:", "And these bonus problems:", "And these bonus problems:"),
        ("Mr. Boddy was murdered at 12:00 AM", "Who murdered Mr. Boddy?", "is a question"),
        (" was in the Hall at 11:00 PM\n", " was at the Hall at 11:00 PM\n", "was at the Hall"),
        ("Mr. Green moved from", "The Poison moved from", "should not say 'Poison'"),
        ("Mr. Green moved from", "The murder weapon moved from", "should not say 'the murder weapon'"),
        ("Mr. Green moved from", "Mr. Boddy moved the Poison from", "should not say 'Mr. Boddy'"),
        ("Mr. Green moved from", "Mr. Green moved Mrs. White from", "should not say 'Mrs. White'"),
        ("Mr. Green moved from", "Mr. Green moved the murderer from", "should not say 'the murderer'"),
        ("just south of Miss Peach", "just south of the murderer", "should not say 'the murderer' there, but one of: "),
        ("in the room just south of Miss Peach", "in the same room as the murderer", "should not say 'the murderer'"),
        ("The Lead Pipe and Miss Peach", "Miss Peach and the suspect motivated by Hatred", "should not say 'Hatred'"),
        ("- The Poison was in the room just", "- The murder weapon was in the room just", "should not say 'the murder weapon'"),
    ],
)
def test_a_text_that_is_not_the_text_of_its_puzzle_is_reported(old, new, complaint):
    sound = row(generate(7, 0, Size()))
    assert old in sound["prompt"]
    (found, *_) = row_problems({**sound, "prompt": sound["prompt"].replace(old, new, 1)})
    assert complaint in found


def test_the_wording_column_decides_which_text_is_expected():
    case = generate(7, 0, Size())
    published = row(case, "published")
    assert row_problems({**published, "wording": "published"}) == []
    assert row_problems({**published, "wording": ["mine"]}) == []  # somebody else's column
    assert "in the clear wording it should be" in row_problems({**published, "wording": "clear"})[0]
    assert "`determine` is 'answer', but should be world or answers" in row_problems(row(case, determine="answer"))[0]


# ---------------------------------------------------------------- mutations


def mutations(text, rng):
    """The text with each line, word and number deleted, doubled, swapped or changed."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        j = rng.randrange(len(lines))
        yield [*lines[:i], *lines[i + 1 :]]
        yield [*lines[: i + 1], *lines[i:]]
        for other in {j, min(i + 1, len(lines) - 1)} - {i}:
            swapped = list(lines)
            swapped[i], swapped[other] = swapped[other], line
            yield swapped
        words = re.findall(r"\w+|\W+", line)
        for k, word in enumerate(words):
            before, after = "".join(words[:k]), "".join(words[k + 1 :])
            swapped = "".join(words[k + 1 : k + 3][::-1])  # this word and the next one, with what is between them
            changed = [before + after, before + rng.choice(words) + after]
            changed += [before + more + after for more in (f"{word} {word}", f"{word}x", f"not {word}")]
            changed += [before + swapped + word + "".join(words[k + 3 :])] if len(words) > k + 2 else []
            changed += [f"{before}{int(word) + d:0{len(word)}d}{after}" for d in (1, -1, 10) if word.isdigit()]
            yield from ([*lines[:i], new, *lines[i + 1 :]] for new in changed if new != line)


def nonblank(lines):
    return [line.rstrip() for line in lines if line.strip()]


CONTENT = re.compile(r"[-•] .*|\d+\. .*|[A-Z]\. .*\?|(Suspects|Weapons|Rooms|Times|Motives): .*|Bonus:")


@pytest.mark.parametrize(
    ("wording", "size"),
    [
        ("clear", Size(3, 2, 3, 1, 0)),
        ("clear", Size(4, 2, 3, 2, 2)),
        ("published", Size(3, 2, 3, 2, 0)),
        ("compact", Size(3, 2, 4, 2, 2)),
        ("compact", Size(2, 2, 2, 1, 2)),
        pytest.param(ORIGINAL, Size(2, 2, 2, 1, 2), marks=needs_published),
        pytest.param(ORIGINAL, Size(3, 2, 4, 2), marks=needs_published),
    ],
    ids=str,
)
def test_no_mutation_that_changes_the_meaning_passes(wording, size):
    """A mutation that passes as text is the text of another puzzle, and CP-SAT passes it only if that one is sound."""
    rng = random.Random(0)
    case = generate(5, 0, size)
    text = written(case.puzzle, wording)
    lines = nonblank(text.split("\n"))
    others, tried = [], 0
    for mutated in mutations(text, rng):
        tried += 1
        mutation = "\n".join(mutated)
        try:
            puzzle = read_prompt(mutation)
        except ValueError:
            continue
        if any(text_problems(mutation, puzzle, wording)):
            continue
        new, old = Counter(nonblank(mutated)), Counter(lines)
        assert all(CONTENT.fullmatch(line) for line in (*(new - old), *(old - new))), mutation
        if puzzle == case.puzzle:
            assert nonblank(mutated) == lines
        elif new != old:
            others.append((mutation, puzzle))
        else:
            assert Counter(puzzle.clues) == Counter(case.puzzle.clues)
            assert puzzle.questions == case.puzzle.questions
            assert (puzzle.setting.rooms, puzzle.setting.times) == (case.puzzle.setting.rooms, case.puzzle.setting.times)
    assert tried > 400
    for mutation, puzzle in rng.sample(others, min(5, len(others))):
        if row_problems({"prompt": mutation, "solution": case.solution}, reading="plain") == []:
            night = find_night(puzzle.setting, puzzle.clues)
            assert Counter(minimal(night, list(puzzle.clues), facts(night))) == Counter(puzzle.clues)
            assert [answer(question, night) for question in puzzle.questions] == list(case.solution.values())


# ---------------------------------------------------------------- published puzzles, and how they read a move


@pytest.mark.parametrize("wording", ["published", IN_ORIGINAL])
def test_published_files_pass_in_every_form(tmp_path, certify, wording):
    cases = [generate(3, i, Size(3, 2, 3, 1 + i % 2, 0)) for i in range(4)]
    rows = [{"num_clues": len(c.puzzle.clues), "prompt": written(c.puzzle, wording), "solution": c.solution} for c in cases]
    assert len({len(case.solution) for case in cases}) > 1
    for form in (as_json, as_lines, as_parquet):
        code, said = certify(form(rows, tmp_path)[0])
        assert (code, "4 of 4 puzzles" in said) == (0, True), said


@cache
def read_in_two_ways():
    """A puzzle whose solution fits its moves as its sentences say them, but not as the published puzzles mean them."""

    def differs(case):
        moves = [c for c in case.puzzle.clues if isinstance(c, Moved) and c.who in case.puzzle.setting.motive_names]
        return any(case.puzzle.setting.motive_counts[c.who] > 1 for c in moves) and row_problems(row(case), reading="published")

    return next(case for i in range(1000) if differs(case := generate(i, 0, Size(4, 2, 4, 2, 2))))


def test_a_move_in_our_own_wording_is_read_as_it_is_said(tmp_path, certify):
    """Even in a file that has the columns of the published one."""
    case = read_in_two_ways()
    clear = row(case, num_clues=len(case.puzzle.clues))
    assert row_problems(clear) == []
    assert row_problems(clear, reading="published") != []
    assert puzzle_of(clear)[1] == list(case.puzzle.clues)
    source = as_json([clear], tmp_path)[0]
    assert "1 of 1" in certify(source)[1]
    assert "1 of 1" in certify(source, "--reading", "plain")[1]
    assert "0 of 1" in certify(source, "--reading", "published")[1]


@needs_published
def test_the_wording_of_the_prompt_decides_how_a_move_is_read(tmp_path, certify):
    case = read_in_two_ways()
    clear, original = (row(case, wording, num_clues=len(case.puzzle.clues)) for wording in ("clear", ORIGINAL))
    assert row_problems(original, reading="plain") == []
    assert (
        row_problems(original) == row_problems(original, reading="published") == row_problems(clear, reading="published") != []
    )
    assert len(puzzle_of(original)[1]) > len(case.puzzle.clues)
    source = as_json([clear, original], tmp_path)[0]
    assert "1 of 2" in certify(source)[1]
    assert "2 of 2" in certify(source, "--reading", "plain")[1]
    assert "0 of 2" in certify(source, "--reading", "published")[1]


@needs_published
def test_published_prompts_are_read_to_the_letter():
    for published in json.loads(PUBLISHED.read_text()):
        puzzle = read_prompt(published["prompt"])
        assert written(puzzle, ORIGINAL) == published["prompt"]
        assert wording_of(published["prompt"], puzzle) == ORIGINAL
        assert first_difference(published["prompt"], puzzle, ORIGINAL) is None


@needs_published
@pytest.mark.slow
def test_all_published_puzzles_are_certified(tmp_path, certify):
    Dataset.from_list(json.loads(PUBLISHED.read_text())).to_parquet(tmp_path / "val.parquet")
    code, said = certify(tmp_path / "val.parquet")
    assert "64 of 64" in said
    assert code == 0


# ---------------------------------------------------------------- whatever a file holds


def test_a_broken_row_never_stops_the_others(tmp_path):
    """In two processes, as users run it; the sound rows before and after the broken ones are certified all the same."""
    sound = row(generate(7, 0, Size()))
    text, clue = sound["prompt"], next(line for line in sound["prompt"].splitlines() if line.startswith("- "))
    place = "Mr. Green was in the Hall at 11:00 PM"
    s = generate(7, 0, Size()).puzzle.setting
    many = [f"- {p} was in the {r} at {t}" for p in s.suspects for r in s.rooms for t in s.times]
    deep = "[" * 600 + "]" * 600
    prompts = [
        *(None, 3, [], [1], [{"role": "user"}], [{"role": "user", "content": 1}], "", " \n", "x" * 10**6, "A. " * 10**5),
        *(text.replace(clue, f"- {word.join([place] * 2000)}") for word in (" or ", " if and only if ", " and ", " moved ")),
        text.replace(clue, "- " + "A " * 500_000 + "was in the Hall"),
        text.replace(clue, "- " + "A.-'" * 250_000),
        text.replace(clue, "\n".join([clue] * 1_000)),
        text.replace(clue, "\n".join(many)),
        text.replace("• Mr. Green", "\n".join(f"• Mr. A{i}" for i in range(30_000))),
        text.replace("• Hatred", f"• Hatred ({'9' * 5000} suspects)"),
        "suspects " * 50_000 + "\n" + "• Mr. A\n" * 50_000,
        text + "\ud800",
    ]
    lines = [json.dumps({**sound, "prompt": prompt}) for prompt in prompts]
    lines += [f'{{"prompt": {deep}, "solution": []}}', f'{{"prompt": "", "solution": {deep * 300}}}']
    lines += ['{"prompt": "x', "3", "null", "[" * 100_000]
    lines += [json.dumps({**sound, "solution": solution}) for solution in (None, 3, "abc", [1, None], {}, [[]], [["A"] * 9])]
    (tmp_path / "rows.jsonl").write_text("\n".join([json.dumps(sound), *lines, json.dumps(sound)]))
    command = [sys.executable, "-m", "puzzles.verify", str(tmp_path / "rows.jsonl"), "--num-proc", "2"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert f"2 of {len(lines) + 2} puzzles" in run.stdout, run.stderr
    found = re.findall(r"^line (\d+): (.*)$", run.stdout, re.MULTILINE)
    assert [int(number) for number, _ in found] == list(range(2, len(lines) + 2))
    assert max(len(said) for _, said in found) < 3_000
    assert "Traceback" not in run.stderr


def test_a_question_that_the_puzzle_cannot_answer_is_reported():
    case = generate(5, 0, Size(3, 2, 3, 1, 0))
    for aspect, noun in (("time", "TIME"), ("motive", "MOTIVE")):
        asked = replace(case.puzzle, questions=(Murder(aspect, None),), bonus=0)
        assert f"asks for a {noun}" in row_problems({"prompt": prompt(asked), "solution": ["12:00 AM"]})[0]
    case = generate(5, 0, Size(4, 2, 3, 2, 2))
    shared = next(m for m, n in case.puzzle.setting.motives if n > 1)
    times = {t: {case.night.place[p, t] for p in case.night.bearers(shared)} for t in case.puzzle.setting.times}
    apart = next((At(shared, None, t) for t, rooms in times.items() if len(rooms) > 1))
    asked = replace(case.puzzle, questions=(apart,), bonus=1)
    assert "This has more than one answer" in row_problems({"prompt": prompt(asked), "solution": ["Hall"]})[0]


def test_a_source_that_is_not_a_dataset_is_refused(tmp_path, certify):
    (tmp_path / "text.json").write_text("{}")
    (tmp_path / "lines.json").write_text("{}\n{}")
    (tmp_path / "no.parquet").write_text("no parquet")
    (tmp_path / "rows.csv").write_text("prompt,solution")
    for name, complaint in {
        "nowhere.json": "No such file",
        "nowhere": "neither a file, nor a folder",
        "text.json": "not a list of rows",
        "lines.json": "it is JSON Lines: name it .jsonl",
        "no.parquet": "",
        "rows.csv": "its name ends in '.csv', but should end in .parquet, .json, .jsonl",
    }.items():
        code, said = certify(tmp_path / name)
        assert code == 2
        assert f"{tmp_path / name} cannot be read" in said
        assert complaint in said
    for option in ("--sample", "--num-proc"):
        assert f"{option} 0 is impossible" in certify(tmp_path / "text.json", option, "0")[1]


@pytest.mark.parametrize("form", [as_json, as_lines, as_folder])
def test_a_sample_of_rows_is_random_but_always_the_same(form, tmp_path, certify, monkeypatch):
    monkeypatch.setattr(load, "BATCH", 1)
    sound = [row(generate(1, i, Size(3, 2, 3, 1, 0))) for i in range(9)]
    source = form(sound, tmp_path)[0]
    (rows,) = read_rows(str(source)).values()
    for some in ([], [0], [8], [1, 4, 5, 8], range(9)):
        assert [r for _, r in rows.numbered(some)] == [sound[i] for i in some]
    assert len(rows) == len(list(rows)) == len(list(rows)) == 9
    assert "4 of 4 puzzles" in certify(source, "--sample", "4")[1]
    assert "9 of 9 puzzles" in certify(source, "--sample", "10")[1]


def test_a_file_is_never_completely_in_memory(tmp_path):
    """Ten thousand rows in one row group: Arrow holds a small part of them at any time."""
    table = pa.table({"prompt": [f"{i} " * 2_000 for i in range(10_000)], "solution": [["Hall"]] * 10_000})
    whole = table.nbytes
    pq.write_table(table, tmp_path / "test.parquet", row_group_size=10_000)
    del table
    at_rest = pa.total_allocated_bytes()
    (rows,) = read_rows(str(tmp_path / "test.parquet")).values()
    held = [pa.total_allocated_bytes() - at_rest for _ in rows]
    assert len(held) == 10_000
    assert max(held) < whole / 3
