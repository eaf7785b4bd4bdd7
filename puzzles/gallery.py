"""One puzzle of each band to look at: GALLERY.md, and gallery/index.html to step through the nights.

python -m puzzles.gallery                 writes both into the current folder

With them comes gallery/deductions.jsonl, a reasoning about each puzzle, which
`python -m rewards.deductions.view` judges step by step.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

from puzzles.clues import At
from puzzles.difficulty import BANDS, DEPTHS, band
from puzzles.english import clause, prompt, render
from puzzles.files import write_text
from puzzles.generate import Case, generate
from puzzles.picture import STYLE, picture, rooms, size, slots, tag
from puzzles.proof import counted, deduce
from puzzles.scenario import Size
from puzzles.tables import markdown_table

SIZES = {"easy": Size(3, 3, 4, 2), "medium": Size(4, 3, 6, 3), "hard": Size(4, 3, 6, 4)}


def example(name: str, seed: int) -> Case:
    """The first puzzle of the series that is of this band, at a size that a person can survey."""
    return next(case for i in count() if band((case := generate(seed, i, SIZES[name])).depths) == name)


def about(case: Case) -> str:
    s = case.puzzle.setting
    return (
        f"{band(case.depths).capitalize()}: {len(s.suspects)} suspects, {len(s.weapons)} weapons, {len(s.rooms)} rooms, "
        f"{len(s.times)} times, {len(case.puzzle.clues)} clues"
    )


def reasoning(case: Case) -> str:
    """A chain of deductions that solves the puzzle, with a wrong supposition and a false step in it, and the answers."""
    s, clues = case.puzzle.setting, case.puzzle.clues
    lines = []
    chain = deduce(case)
    unknown = [i for i, step in enumerate(chain) if isinstance(step.statement, At) and step.statement not in clues]
    supposed, slip = unknown[len(unknown) // 3], unknown[2 * len(unknown) // 3]
    for i, step in enumerate(chain):
        sentence = clause(step.statement, s)
        because = [number for number, clue in enumerate(clues) if clue in step.because]
        if i in (supposed, slip):
            elsewhere = clause(replace(step.statement, room=next(r for r in s.rooms if r != step.statement.room)), s)
            if i == supposed:
                lines += [f"Suppose {elsewhere}. That leads to a contradiction.", f"So it is not the case that {elsewhere}."]
            else:
                lines.append(f"So {elsewhere}.")
        if step.statement in clues:
            lines.append(f"Clue {because[0] + 1} says it outright: {sentence}.")
        elif because:
            lines.append(f"From {counted('clue', because)} it follows that {sentence}.")
        else:
            lines.append(f"So {sentence}.")
    return "\n".join([*lines, "", *(f"{letter}. {answer}" for letter, answer in case.solution.items())])


def page(cases: list[Case]) -> str:
    """A page that needs nothing but itself."""
    data = []
    for case in cases:
        night, s = case.night, case.puzzle.setting
        (at, _), (width, height) = slots(night), size(night)
        tags = "".join(tag(night, piece, 0, 0, False) for piece in s.pieces)
        questions = [render(q, s) for q in case.puzzle.questions]
        data.append(
            {
                "band": band(case.depths),
                "about": about(case),
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


def markdown(cases: list[Case], seed: int) -> str:
    parts = [
        "# Gallery",
        "One puzzle of each band, as the model sees it, with its solution. `make gallery` writes this page, and "
        "[gallery/index.html](gallery/index.html), in which one can step through the nights and reveal the answers one by one "
        "(download it: it needs nothing but a browser). [gallery/deductions.html](gallery/deductions.html) has a reasoning "
        "about each of them, with a wrong step in it, judged by the solver.",
    ]
    for case in cases:
        name, s = band(case.depths), case.puzzle.setting
        shape = " ".join(f"--{key} {len(getattr(s, key))}" for key in ("suspects", "weapons", "rooms", "times"))
        asked = zip(case.puzzle.questions, case.solution.values(), case.depths, strict=True)
        rows = ((render(question, s), answer, f"{depth}: {DEPTHS[depth]}") for question, answer, depth in asked)
        parts += [
            f"## {about(case)}",
            f"`python -m puzzles --seed {seed} --index {case.index} {shape} --proof` prints it with a chain of deductions.",
            f"```\n{prompt(case.puzzle)}\n```",
            "<details><summary>The solution, and how deep one has to think for it</summary>",
            markdown_table(("question", "answer", "depth"), rows),
            f"![the night](gallery/{name}.svg)",
            "</details>",
        ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m puzzles.gallery", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("."), help="folder to write to (default: this one)")
    parser.add_argument("--seed", type=int, default=0, help="which series of puzzles (default 0)")
    args = parser.parse_args()
    cases = [example(name, args.seed) for name in BANDS]
    try:
        write_text(args.output / "GALLERY.md", markdown(cases, args.seed))
        write_text(args.output / "gallery" / "index.html", page(cases))
        rows = [
            {"prompt": prompt(case.puzzle), "completion": reasoning(case), "difficulty": band(case.depths)} for case in cases
        ]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(args.output / "gallery" / "deductions.jsonl", lines)
        for case in cases:
            write_text(args.output / "gallery" / f"{band(case.depths)}.svg", picture(case.night, across=2))
    except OSError as error:
        sys.exit(f"python -m puzzles.gallery: {error}")
    print(f"{args.output / 'GALLERY.md'}\n{args.output / 'gallery' / 'index.html'}")


if __name__ == "__main__":
    main()
