"""The certifier: sound puzzles pass, in every form; each kind of sabotage is found, named, and shown by another night."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.english import WORDINGS, prompt
from puzzles.generate import NothingToAskError, generate
from puzzles.scenario import Size
from puzzles.verify import faults
from tests.test_scenario import SIZES

PUBLISHED = Path(__file__).parents[2] / "shared" / "data" / "published_val.json"


def row(case, wording="clear", **columns):
    return {"prompt": prompt(case.puzzle, wording), "solution": list(case.solution.values()), **columns}


def verify(source, *args):
    return subprocess.run([sys.executable, "-m", "puzzles.verify", str(source), *args], capture_output=True, text=True)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), SIZES, st.sampled_from(WORDINGS))
def test_every_puzzle_is_certified_from_its_text(seed, size, wording):
    assert faults(row(generate(seed, 1, size), wording)) == []


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), SIZES, st.integers(0, 2))
def test_so_is_every_one_that_determines_no_more_than_its_answers(seed, size, min_depth):
    try:
        case = generate(seed, 1, size, determine="answers", min_depth=min_depth)
    except NothingToAskError:
        return
    assert faults(row(case, determine="answers")) == []


def test_a_puzzle_of_the_published_mix_is_certified():
    assert faults(row(generate(2, 3, players=(2, 3)))) == []


def test_a_night_left_open_is_a_fault_unless_only_the_answers_count():
    cases = (generate(1, i, determine="answers") for i in range(20))
    open_ = [case for case in cases if len(case.puzzle.clues) < 12 and faults(row(case)) != []]
    assert len(open_) >= 3
    for case in open_:
        assert "more than one night fits the clues" in faults(row(case))[0]
        assert faults(row(case, determine="answers")) == []


def sabotage():
    """Faulty rows, each with what should be said of it."""
    case = generate(7, 0, Size())
    sound = row(case)
    text, solution = sound["prompt"], sound["solution"]
    first = next(line for line in text.splitlines() if line.startswith("- "))
    guilty = solution[0]
    innocent = next(x for x in case.puzzle.setting.suspects if x != guilty)
    kinds = {
        "swapped answers": (text, [solution[1], solution[0], *solution[2:]], "but in the only night that fits it is"),
        "a wrong answer": (
            text,
            [innocent, *solution[1:]],
            f"answer is {innocent}, but in the only night",
        ),
        "a deleted clue": (text.replace(first + "\n", ""), solution, "more than one night fits the clues:"),
        "a redundant clue": (
            text.replace(first, f"{first}\n- Mr. Boddy was murdered by {guilty}"),
            solution,
            "can be left out",
        ),
        "a clue twice": (text.replace(first, f"{first}\n{first}"), solution, "can be left out"),
        "a contradiction": (text.replace(first, f"{first}\n- Mr. Boddy was murdered by {innocent}"), solution, "contradict"),
        "an unknown room": (
            text.replace("in the Hall at", "in the Attic at"),
            solution,
            "the room 'Attic', which is not one of",
        ),
        "an unknown sentence": (text.replace(first, "- The Attic was dark"), solution, "is not a sentence of a known form"),
        "a truncated text": (text[: text.index("Answer these")], solution, "the prompt has no questions"),
        "a text cut in its form": (text[: text.rindex("\n")], solution, "is the prompt whole?"),
        "a missing answer": (text, solution[1:], "answers for"),
    }
    return sound, {kind: ({"prompt": text, "solution": answers}, said) for kind, (text, answers, said) in kinds.items()}


def as_json(rows, folder):
    (folder / "rows.json").write_text(json.dumps(rows))
    return folder / "rows.json", "row"


def as_parquet(rows, folder):
    chats = [{**r, "prompt": [{"role": "user", "content": r["prompt"]}]} for r in rows]
    pq.write_table(pa.Table.from_pylist(chats), folder / "test.parquet")
    return folder / "test.parquet", "test"


def as_folder(rows, folder):
    (folder / "data").mkdir()
    as_parquet(rows, folder / "data")
    return folder, "test"


@pytest.mark.parametrize("form", [as_json, as_parquet, as_folder])
def test_each_kind_of_sabotage_is_found(form, tmp_path):
    sound, kinds = sabotage()
    source, name = form([sound, *(faulty for faulty, _ in kinds.values())], tmp_path)
    run = verify(source)
    said = (run.stdout + run.stderr).splitlines()
    assert run.returncode == 1
    assert f"1 of {len(kinds) + 1} puzzles" in run.stdout
    assert not any(line.startswith(f"{name} 0:") for line in said)
    for i, (kind, (_, complaint)) in enumerate(kinds.items(), 1):
        lines = [line for line in said if line.startswith(f"{name} {i}:")]
        assert len(lines) == 1, kind
        assert complaint in lines[0], kind


def test_a_deleted_clue_is_shown_by_another_night():
    (found,) = faults(sabotage()[1]["a deleted clue"][0])
    other, recorded = found.partition("fits the clues: ")[2].split("; ")[0].split(" or ")
    assert other != recorded
    assert other.split()[:2] == recorded.split()[:2]


def test_what_is_no_dataset_is_said(tmp_path):
    (tmp_path / "text.json").write_text("{}")
    (tmp_path / "no.parquet").write_text("no parquet")
    for source in ("nowhere.json", tmp_path / "text.json", tmp_path / "no.parquet", tmp_path / "nowhere"):
        run = verify(source)
        assert run.returncode == 2
        assert f"{source} cannot be read" in run.stderr
        assert "Traceback" not in run.stderr
    (tmp_path / "rows.json").write_text(json.dumps([{"question": "who?"}, {"prompt": sabotage()[0]["prompt"]}]))
    run = verify(tmp_path / "rows.json")
    assert run.returncode == 1
    assert "row 0: it cannot be read: it has no `prompt`" in run.stdout + run.stderr
    assert "row 1: it has no `solution`" in run.stdout + run.stderr


def test_a_sample_is_drawn_at_random_and_always_the_same(tmp_path):
    sound = [row(generate(1, i, Size(3, 2, 3, 1, 0))) for i in range(9)]
    source, _ = as_json(sound, tmp_path)
    assert "4 of 4 puzzles" in verify(source, "--sample", "4").stdout


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published validation puzzles are not part of this repository")
def test_all_published_puzzles_are_certified():
    run = verify(PUBLISHED)
    assert "64 of 64" in run.stdout, run.stdout
    assert run.returncode == 0
