"""One puzzle of each band to look at: GALLERY.md, and gallery/index.html to step through the nights.

python -m puzzles.viewer.gallery                 writes both into the current folder

It also writes gallery/deductions.jsonl, a chain of reasoning about each puzzle, which `python -m rewards.deductions.view`
judges step by step.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import count
from pathlib import Path

from puzzles.clues import Clue, answer_options, question_about, with_answer
from puzzles.difficulty import BANDS, DEPTHS, band
from puzzles.files import write_text
from puzzles.generator import Case, generate
from puzzles.prompts import prompt
from puzzles.proof import premises, prove
from puzzles.scenario import Night, Size
from puzzles.sentences import render
from puzzles.tables import markdown_table
from puzzles.viewer.picture import STYLE, picture, rooms, size, slots, tag

SIZES = {"easy": Size(3, 3, 4, 2), "medium": Size(4, 3, 6, 3), "hard": Size(4, 3, 6, 4)}


def example(name: str, seed: int) -> Case:
    """The first puzzle of the series that is of this band, small enough to take in at a glance."""
    return next(case for i in count() if band((case := generate(seed, i, SIZES[name])).depths) == name)


def summary(case: Case) -> str:
    s = case.puzzle.setting
    return (
        f"{band(case.depths).capitalize()}: {len(s.suspects)} suspects, {len(s.weapons)} weapons, {len(s.rooms)} rooms, "
        f"{len(s.times)} times, {len(case.puzzle.clues)} clues"
    )


def markdown(cases: list[Case], seed: int) -> str:
    """GALLERY.md."""
    parts = [
        "# Gallery",
        "One puzzle of each band, as the model sees it, with its solution. `make gallery` writes this page, and "
        "[gallery/index.html](gallery/index.html), where you can step through the nights and reveal the answers one by one "
        "(download it: a browser is all it needs). [gallery/deductions.html](gallery/deductions.html) shows a chain of "
        "reasoning about each puzzle, with one wrong step in it, judged by the solver.",
    ]
    for case in cases:
        name, s = band(case.depths), case.puzzle.setting
        shape = " ".join(f"--{key} {len(getattr(s, key))}" for key in ("suspects", "weapons", "rooms", "times"))
        asked = zip(case.puzzle.questions, case.solution.values(), case.depths, strict=True)
        rows = ((render(question, s), answer, f"{depth}: {DEPTHS[depth]}") for question, answer, depth in asked)
        parts += [
            f"## {summary(case)}",
            f"`python -m puzzles --seed {seed} --index {case.index} {shape} --proof` prints it with a short proof of its "
            "answers, every step checked by CP-SAT.",
            f"```\n{prompt(case.puzzle)}\n```",
            "<details><summary>The solution, and how deep one has to think for it</summary>",
            markdown_table(("question", "answer", "depth"), rows),
            f"![the night](gallery/{name}.svg)",
            "</details>",
        ]
    return "\n\n".join(parts) + "\n"


def page(cases: list[Case]) -> str:
    """gallery/index.html: a page that loads nothing else."""
    data = []
    for case in cases:
        night, s = case.night, case.puzzle.setting
        (at, _), (width, height) = slots(night), size(night)
        tags = "".join(tag(night, piece, 0, 0, False) for piece in s.pieces)
        questions = [render(q, s) for q in case.puzzle.questions]
        data.append(
            {
                "band": band(case.depths),
                "about": summary(case),
                "prompt": prompt(case.puzzle),
                "svg": f'<svg viewBox="-2 -2 {width + 4} {height + 4}" width="{width + 4}">{rooms(night, False)}{tags}</svg>',
                "times": s.times,
                "murder": s.times.index(night.time),
                "scene": s.rooms.index(night.room),
                "guilty": [s.pieces.index(night.murderer), s.pieces.index(night.weapon)],
                "places": [[at[piece, t] for t in s.times] for piece in s.pieces],
                "questions": [*zip(questions, case.solution.values(), [DEPTHS[d] for d in case.depths], strict=True)],
            }
        )
    template = (Path(__file__).parent / "gallery.html").read_text(encoding="utf-8")
    content = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    return template.replace("/*STYLE*/", STYLE.strip()).replace("/*DATA*/", content)


def reasoning(case: Case) -> str:
    """The puzzle's proof in a model's words, with a supposition that is refuted and a wrong step added, and the answers."""
    s, steps, lines = case.puzzle.setting, prove(case.puzzle, case.night), []
    supposed, wrong = len(steps) // 3, 2 * len(steps) // 3
    for i, step in enumerate(steps):
        if i in (supposed, wrong):
            false = render(false_alternative(step.statement, case.night), s, capital=False)
            if i == supposed:
                lines += [f"Suppose {false}. That leads to a contradiction.", f"So it is not the case that {false}."]
            else:
                lines.append(f"So {false}.")
        lines.append(f"{i + 1}. From {premises(step)} it follows that {render(step.statement, s, capital=False)}.")
    return "\n".join([*lines, "", *(f"{letter}. {answer}" for letter, answer in case.solution.items())])


def false_alternative(statement: Clue, night: Night) -> Clue:
    """Something else that the statement could say, and that is not true."""
    question = question_about(statement)
    others = (with_answer(question, option) for option in answer_options(question, night.setting))
    return next(other for other in others if not other.holds(night))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m puzzles.viewer.gallery", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("."), help="folder to write to (default: this one)")
    parser.add_argument("--seed", type=int, default=0, help="which series of puzzles (default 0)")
    args = parser.parse_args()
    cases = [example(name, args.seed) for name in BANDS]
    rows = [{"prompt": prompt(case.puzzle), "completion": reasoning(case), "difficulty": band(case.depths)} for case in cases]
    try:
        write_text(args.output / "GALLERY.md", markdown(cases, args.seed))
        write_text(args.output / "gallery" / "index.html", page(cases))
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(args.output / "gallery" / "deductions.jsonl", lines)
        for case in cases:
            write_text(args.output / "gallery" / f"{band(case.depths)}.svg", picture(case.night, across=2))
    except OSError as error:
        sys.exit(f"python -m puzzles.viewer.gallery: {error}")
    print(f"{args.output / 'GALLERY.md'}\n{args.output / 'gallery' / 'index.html'}")


if __name__ == "__main__":
    main()
