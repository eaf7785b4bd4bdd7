"""Print a puzzle and its solution; the same arguments always give the same puzzle.

python -m puzzles --seed 7 --index 0                           a small puzzle for a person
python -m puzzles --seed 7 --index 0 --rooms 6 --times 4       a larger one
python -m puzzles --seed 7 --index 0 --players 1-6             any size of the published mix
python -m puzzles --seed 7 --index 0 --proof                   with a short proof of its answers (puzzles/proof.py)
"""

import argparse
import sys

from puzzles.arguments import add_puzzle_arguments, generator_options
from puzzles.difficulty import band
from puzzles.generator import generate
from puzzles.prompts import lettered, prompt
from puzzles.proof import explain, prove, summarize
from puzzles.scenario import Size


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m puzzles", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--index", type=int, default=0, help="which puzzle of the series (default 0)")
    parser.add_argument("--proof", action="store_true", help="print a short proof before the solution")
    add_puzzle_arguments(parser)
    args = parser.parse_args()
    try:
        case = generate(args.seed, args.index, **generator_options(args, Size()))
        steps = prove(case.puzzle, case.night) if args.proof else []
    except ValueError as error:
        sys.exit(f"python -m puzzles: {error}")
    print(prompt(case.puzzle, args.wording))
    if args.proof:
        print(f"\nProof, with the clues numbered in order:\n\n{explain(case.puzzle, steps)}\n\n{summarize(steps)}")
    print(f"\nSolution ({band(case.depths)}, depths {', '.join(map(str, case.depths))}):\n")
    print(lettered(case.solution.values()))


if __name__ == "__main__":
    main()
