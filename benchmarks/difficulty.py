"""How difficult are puzzles of each size? Shares of the bands, and of the depths of single questions (puzzles/difficulty.py).

python benchmarks/difficulty.py                            120 puzzles of each number of players
python benchmarks/difficulty.py --determine answers        where only the answers have to be determined
python benchmarks/difficulty.py --file published_val.json  of given puzzles
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from functools import partial

from tqdm import tqdm

from puzzles.cpsat import find_night
from puzzles.dataset import puzzle_of, read_rows
from puzzles.difficulty import BANDS, band, depths
from puzzles.generator import generate
from puzzles.parallel import in_order


def generated(work: tuple[int, int], seed: int, determine: str) -> list[int]:
    index, players = work
    return generate(seed, index, players=(players, players), determine=determine).depths


def given(row: dict) -> list[int]:
    puzzle, statements = puzzle_of(row)
    return depths(puzzle, find_night(puzzle.setting, statements))


def line(name: str, puzzles: list[list[int]]) -> str:
    bands = Counter(map(band, puzzles))
    questions = Counter(depth for puzzle in puzzles for depth in puzzle)
    shares = [f"{bands[name] / len(puzzles):.0%}" for name in BANDS]
    shares += [f"{questions[depth] / questions.total():.0%}" for depth in range(4)]
    return f"| {name} | {len(puzzles)} | {' | '.join(shares)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puzzles", type=int, default=120, help="puzzles of each number of players (default 120)")
    parser.add_argument("--seed", type=int, default=0, help="which puzzles (default 0)")
    parser.add_argument("--determine", choices=("world", "answers"), default="world")
    parser.add_argument("--file", help="grade the puzzles of a file, a folder or a Hub id instead")
    parser.add_argument("--num-proc", type=int, default=os.cpu_count())
    args = parser.parse_args()
    print("| size | puzzles | easy | medium | hard | one clue | propagation | look-ahead | search |")
    print("|---|---|---|---|---|---|---|---|---|")
    if args.file:
        for split, rows in read_rows(args.file).items():
            print(line(split, list(tqdm(in_order(given, rows, args.num_proc), total=len(rows), leave=False))))
        return
    everything = []
    for players in range(1, 7):
        work = [(index, players) for index in range(args.puzzles)]
        graded = in_order(partial(generated, seed=args.seed, determine=args.determine), work, args.num_proc)
        everything.append(list(tqdm(graded, total=args.puzzles, leave=False)))
        print(line(f"{players} player{'s' if players > 1 else ''}", everything[-1]), flush=True)
    print(line("default mix", [puzzle for some in everything for puzzle in some]))


if __name__ == "__main__":
    main()
