"""Print a puzzle and its solution, the same one every time for the same arguments.

python -m puzzles --seed 7 --index 0                           a small puzzle for a person
python -m puzzles --seed 7 --index 0 --rooms 6 --times 4       a larger one
python -m puzzles --seed 7 --index 0 --players 1-6             any size of the published mix
python -m puzzles --seed 7 --index 0 --proof                   how one gets there, step by step
"""

import argparse
import sys
from dataclasses import fields

from puzzles.english import WORDINGS, prompt, render
from puzzles.generate import generate
from puzzles.proof import deduce
from puzzles.scenario import Size


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m puzzles", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="which series of puzzles (default 0)")
    parser.add_argument("--index", type=int, default=0, help="which puzzle of the series (default 0)")
    parser.add_argument("--wording", choices=WORDINGS, default="clear", help="how the prompt is framed (default clear)")
    parser.add_argument("--proof", action="store_true", help="print a chain of deductions before the solution")
    parser.add_argument("--players", metavar="N[-M]", help="draw the size from the published mix for N to M players, 1 to 6")
    defaults = Size()
    for field in fields(Size):
        parser.add_argument(
            f"--{field.name}", type=int, metavar="N", help=f"how many {field.name} (default {getattr(defaults, field.name)})"
        )
    args = parser.parse_args()
    given = {f.name: getattr(args, f.name) for f in fields(Size) if getattr(args, f.name) is not None}
    try:
        if args.players is None:
            case = generate(args.seed, args.index, Size(**given))
        elif given:
            raise ValueError(f"--players draws every size, so it cannot go with --{' --'.join(given)}: drop one of them.")
        else:
            low, _, high = args.players.partition("-")
            if not (low.isdigit() and (high or low).isdigit()):
                raise ValueError(f"--players {args.players!r} is no range: write it as 3 or 1-6.")
            case = generate(args.seed, args.index, players=(int(low), int(high or low)))
    except ValueError as error:
        sys.exit(f"python -m puzzles: {error}")
    print(prompt(case.puzzle, args.wording))
    if args.proof:
        s = case.puzzle.setting
        print("\nProof:\n")
        for i, deduction in enumerate(deduce(case), 1):
            reasons = "; ".join(render(clue, s) for clue in deduction.because)
            print(f"{i}. {render(deduction.statement, s)}, by {reasons or 'the rules and what is known so far'}.")
    print("\nSolution:\n")
    print("\n".join(f"{letter}. {answer}" for letter, answer in case.solution.items()))


if __name__ == "__main__":
    main()
