"""What is shown under a deduction: CP-SAT confirms the clues, and the nights fit them. And input that is not a completion."""

import json
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from typing import get_args

import pytest
from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, write_eval_log
from inspect_ai.model import ModelOutput

from puzzles.clues import At, Clue, Iff, facts, facts_about
from puzzles.cpsat import find_night
from puzzles.generator import candidate_clues, generate
from puzzles.prompts import prompt
from puzzles.scenario import Size
from puzzles.sentences import read_sentence, render
from recipes import ROOT
from recipes.demonstrations import small_steps
from rewards.deductions import Assertion, Judge, view
from tests.entailment import entailed

SIZE = Size(suspects=3, weapons=2, rooms=4, times=2, motives=3)


def shown(capsys, monkeypatch, *arguments):
    """What the command prints, or SystemExit."""
    monkeypatch.setattr(sys, "argv", ["show", *map(str, arguments)])
    view.main()
    return capsys.readouterr().out


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def a_row(case, completion):
    return {"prompt": prompt(case.puzzle), "completion": completion}


def other_room(statement, setting):
    return replace(statement, room=next(r for r in setting.rooms if r != statement.room))


def opposite(assertion):
    return replace(assertion, holds=not assertion.holds)


def decided(setting, clues, assertion):
    """Whether the clues entail an assertion, according to CP-SAT."""
    if assertion.holds:
        return entailed(setting, clues, assertion.statement)
    return find_night(setting, [*clues, assertion.statement]) is None


# ---------------------------------------------------------------- what is shown


def test_each_line_is_marked_and_the_summary_counts(tmp_path, capsys, monkeypatch):
    case = generate(20261123, 0, SIZE)
    s = case.puzzle.setting
    chain = [step.statement for step in small_steps(case)]
    new = next(fact for fact in chain if isinstance(fact, At) and fact not in case.puzzle.clues)
    false = other_room(new, s)
    said = {
        "Let us begin.": "",
        f"Suppose {render(false, s, capital=False)}.": "aside",
        f"That is a contradiction, so it is not the case that {render(false, s, capital=False)}.": "proved",
        f"So {render(new, s, capital=False)}.": "proved",
        f"Therefore {render(false, s, capital=False)}.": "refuted",
        f"{s.suspects[0]} danced a lively tango with {s.suspects[1]} all night.": "unread",
        f"Clearly, {render(new, s, capital=False)}.": "proved",
    }
    file = write(
        tmp_path / "rows.jsonl", a_row(case, "other"), a_row(case, [{"role": "assistant", "content": "\n".join(said)}])
    )
    out = shown(capsys, monkeypatch, file, "--index", "1", "--plain")
    assert "2 rows in total" in out.splitlines()[0]
    for line, mark in said.items():
        assert f"{f'[{mark}]' if mark else '':<12}{line}\n" in out
    assert out.count(f"    It is not the case that {render(false, s, capital=False)}: proved") == 1
    assert f"{render(new, s)}: proved, repeated\n" in out
    assert "\n2 proved, 1 refuted, 0 undecided, 0 timed out; soundness 0.667, read 0.750 of the sentences, reward " in out
    assert out == shown(capsys, monkeypatch, file, "--index", "1")  # without a terminal there are no colours
    own = {"FORCE_COLOR": "1", "TERM": "xterm", "PATH": os.environ["PATH"]}  # libraries that other tests load may have set more
    run = subprocess.run(
        [sys.executable, "-m", "rewards.deductions.view", str(file), "--index", "1"],
        cwd=ROOT, capture_output=True, text=True, check=True, env=own,
    )  # fmt: skip
    coloured = run.stdout
    assert f"\x1b[31mTherefore {render(false, s, capital=False)}.\x1b[0m" in coloured
    assert f"\x1b[32mSo {render(new, s, capital=False)}.\x1b[0m" in coloured
    assert "[proved]" not in coloured


@pytest.mark.parametrize("determine", ["world", "answers"])
def test_the_clues_shown_decide_it_none_is_redundant_and_the_nights_fit(tmp_path, capsys, monkeypatch, determine):
    seen = set()
    for index in range(3):
        case = generate(20261123, index, SIZE, determine=determine)
        s, clues = case.puzzle.setting, list(case.puzzle.clues)
        cells = [At(p, r, s.times[1]) for p in s.pieces[:4] for r in s.rooms[:3]]
        cells = [cell for cell in cells if cell not in clues]
        text = "\n".join(
            f"So {lead}{render(cell, s, capital=False)}."
            for cell, lead in zip(cells, ["", "it is not the case that "] * 9, strict=False)
        )
        out = shown(capsys, monkeypatch, write(tmp_path / "rows.jsonl", a_row(case, text)), "--plain")
        steps = re.findall(r"^ {16}(\S.*): (proved|refuted|undecided).*\n((?: {20}.*\n)*)", out, re.MULTILINE)
        assert len(steps) == len(cells)
        for cell, (sentence, verdict, why) in zip(cells, steps, strict=True):
            said = Assertion(cell, not sentence.startswith("It is not the case"))
            numbers = [(int(n), text) for n, text in re.findall(r"(?:by|against) clue (\d+): (.+)", why)]
            assert all(render(clues[n - 1], s) == text for n, text in numbers)
            support = [clues[n - 1] for n, _ in numbers]
            if verdict != "undecided":
                shows = said if verdict == "proved" else opposite(said)
                assert decided(s, support, shows)
                for clue in support:
                    assert not decided(s, [c for c in support if c != clue], shows)
            for kind, night in re.findall(r"(?:(holds|fails) )?on a night that fits: (.+)", why):
                nightly = [read_sentence(sentence, s) for sentence in night.split("; ")]
                assert find_night(s, [*clues, *nightly]) is not None
                assert not decided(s, [*clues, *nightly], said) or kind == "holds"
                if cell in nightly or any(f == replace(cell, room=f.room) for f in nightly if isinstance(f, At)):
                    assert decided(s, nightly, said if kind == "holds" else opposite(said))
                else:
                    pytest.fail(f"{cell} is not among {nightly}")
            assert why.count("on a night that fits") == {"proved": 0, "refuted": 1, "undecided": 2}[verdict]
            assert bool(support) == (verdict != "undecided") or "the rules of the night alone" in why
            seen.add(verdict)
    assert seen == ({"proved", "refuted", "undecided"} if determine == "answers" else {"proved", "refuted"})


def test_the_clues_of_any_kind_of_statement_decide_it():
    for index in range(3):
        case = generate(20261123, index, SIZE)
        s, judge = case.puzzle.setting, Judge(prompt(case.puzzle))
        some = [*facts(case.night)[::5], *candidates_of(case)[:12]]
        for statement in some:
            for holds in (True, False):
                why = judge.deciding_clues(Assertion(statement, holds))
                assert decided(s, why, true := Assertion(statement, statement.holds(case.night)))
                assert not any(decided(s, [other for other in why if other != clue], true) for clue in why)


def candidates_of(case):
    return list(candidate_clues(random.Random(0), case.night))


def test_what_the_clues_leave_open_has_no_proof_and_what_the_rules_imply_needs_no_clue():
    case = generate(20261123, 0, SIZE, determine="answers")
    judge, s = Judge(prompt(case.puzzle)), case.puzzle.setting
    cells = [Assertion(At(p, r, t)) for p in s.pieces for r in s.rooms for t in s.times]
    assert any(judge.deciding_clues(cell) is None for cell in cells)
    x = At(s.suspects[0], s.rooms[0], s.times[0])
    assert judge.deciding_clues(Assertion(Iff(x, x))) == []


def test_viewing_changes_no_verdict():
    case = generate(20261123, 1, SIZE)
    text = "\n".join(f"So {render(s.statement, case.puzzle.setting, capital=False)}." for s in small_steps(case))
    viewed, fresh = Judge(prompt(case.puzzle)), Judge(prompt(case.puzzle))
    before = viewed.judge(text)
    list(view.marked_lines(viewed, text, before))
    assert viewed.judge(text) == before == fresh.judge(text)


def test_the_facts_about_a_statement_decide_it():
    kinds = set()
    for index in range(3):
        case = generate(3, index, Size(4, 3, 5, 3, 3))
        true = [x for kind in get_args(Clue) for x in [c for c in candidates_of(case) if type(c) is kind][:5]]
        false = [other_room(x, case.puzzle.setting) for x in true if isinstance(x, At)]
        for statement in [*true, *false]:
            about = facts_about(statement, case.night)
            assert all(fact.holds(case.night) for fact in about)
            assert decided(case.puzzle.setting, about, Assertion(statement, statement.holds(case.night)))
            kinds.add(type(statement))
    assert kinds == set(get_args(Clue))


# ---------------------------------------------------------------- pages, logs, and bad input


def test_the_committed_page_is_what_the_command_writes_whatever_the_hash_seed(tmp_path, capsys, monkeypatch):
    page = tmp_path / "page.html"
    shown(capsys, monkeypatch, ROOT / "gallery" / "deductions.jsonl", "--html", page)  # the hash seed of this process
    seeded = tmp_path / "seeded.html"
    run = subprocess.run(
        [sys.executable, "-m", "rewards.deductions.view", "gallery/deductions.jsonl", "--html", seeded],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    committed = (ROOT / "gallery" / "deductions.html").read_bytes()
    assert page.read_bytes() == seeded.read_bytes() == committed, "out of date: run `make gallery`"
    text = page.read_text()
    assert text.count("<article") == 3
    assert text.count('<details class="line refuted" open>') == 3
    assert not re.search(r"<script|https?://", text)
    assert 'href="deductions.html"' in (ROOT / "gallery" / "index.html").read_text()


def test_a_completion_can_neither_write_markup_nor_move_the_cursor(tmp_path, capsys, monkeypatch):
    case = generate(20261123, 0, SIZE)
    evil = f"<script>alert(1)</script> <!--ROWS--> {case.puzzle.setting.suspects[0]} \x1b[2J[red]\ud800 was in the Hall"
    file = write(tmp_path / "rows.jsonl", {**a_row(case, evil), "difficulty": "<b>\x1b\ud800"})
    out = shown(capsys, monkeypatch, file, "--plain")
    assert "\x1b" not in out
    assert "�[2J[red]� was in the Hall" in out
    page = tmp_path / "page.html"
    shown(capsys, monkeypatch, file, "--html", page)
    assert "<script" not in page.read_text()
    assert "&lt;script&gt;" in page.read_text()


def test_a_log_of_inspect_is_read(tmp_path, capsys, monkeypatch):
    case = generate(20261123, 0, SIZE)
    text = "\n".join(f"So {render(s.statement, case.puzzle.setting, capital=False)}." for s in small_steps(case))
    spec = EvalSpec(created="2026-11-23", task="t", dataset=EvalDataset(), model="m", config=EvalConfig())
    sample = EvalSample(id=0, epoch=1, input=prompt(case.puzzle), target="", output=ModelOutput.from_content("m", text))
    write_eval_log(EvalLog(eval=spec, samples=[sample]), str(tmp_path / "log.eval"))
    assert "soundness 1.000" in shown(capsys, monkeypatch, tmp_path / "log.eval")
    write_eval_log(EvalLog(eval=spec, samples=[]), str(tmp_path / "empty.eval"))
    (tmp_path / "broken.eval").write_text("no zip")
    for name, said in (("empty", "has no samples"), ("broken", "is not an Inspect log"), ("missing", "No such file")):
        with pytest.raises(SystemExit, match=said):
            shown(capsys, monkeypatch, tmp_path / f"{name}.eval")


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (None, [], "rows.jsonl: No such file or directory. FILE must be JSON"),
        (b"", [], "has no rows"),
        (b"[]", [], "has no rows"),
        (b"\xff\xfe", [], "is not UTF-8 text (byte 0)"),
        (b'{"prompt": "x", "completion": "y"}\n{"prompt": ', [], "line 2 is not JSON"),
        (b"not json", [], "line 1 is not JSON"),
        (b"[" * 100_000, [], "line 1 is not JSON"),
        (b"[3]", [], "row 0 is 3: it must be an object"),
        (b'{"prompt": "x", "answer": "y"}', [], "row 0 has no 'completion', only 'prompt', 'answer'"),
        (b'{"prompt": "x", "completion": null}', [], "row 0 has the completion null"),
        (b'{"prompt": [], "completion": "y"}', [], "row 0 has the prompt []"),
        (b'{"prompt": [{"role": "user"}], "completion": "y"}', [], "row 0 has the prompt [{"),
        (b'{"prompt": "What is the capital of France?", "completion": "y"}', [], "has a prompt that is not a puzzle (the"),
        (b'{"prompt": "x", "completion": "y"}', ["--index", "1"], "has 1 row: --index 1 must be 0."),
        (b'[{}, {}]', ["--index", "-1"], "has 2 rows: --index -1 must be 0 to 1."),
    ],
)  # fmt: skip
def test_bad_input_gets_one_line_that_names_the_value_and_the_place(tmp_path, capsys, monkeypatch, content, arguments, said):
    file = tmp_path / "rows.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SystemExit) as error:
        shown(capsys, monkeypatch, file, *arguments)
    assert said in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_page_cannot_be_a_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(view, "rows_of", lambda file: pytest.fail("it read the rows"))
    with pytest.raises(SystemExit, match=f"--html {tmp_path} is a folder: name a file, such as {tmp_path}/page.html"):
        shown(capsys, monkeypatch, ROOT / "gallery" / "deductions.jsonl", "--html", tmp_path)
    assert not list(tmp_path.iterdir())


def test_contradictory_clues_are_refused(tmp_path, capsys, monkeypatch):
    case = generate(20261123, 0, SIZE)
    night, s = case.night, case.puzzle.setting
    wrong = other_room(facts(night)[0], s)
    puzzle = replace(case.puzzle, clues=(*case.puzzle.clues, wrong))
    file = write(tmp_path / "rows.jsonl", {"prompt": prompt(puzzle), "completion": "x"})
    with pytest.raises(SystemExit, match="the clues contradict each other: no night"):
        shown(capsys, monkeypatch, file)
