"""How difficult are puzzles of each size? The percentages of bands, and of question depths (puzzles/difficulty.py).

python -m benchmarks.difficulty                            120 puzzles for each number of players
python -m benchmarks.difficulty --determine answers        puzzles whose clues determine only the answers
python -m benchmarks.difficulty --file published_val.json  puzzles of a file
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


def depths_generated(work: tuple[int, int], seed: int, determine: str) -> list[int]:
    index, players = work
    return generate(seed, index, players=(players, players), determine=determine).depths


def depths_in_file(row: dict) -> list[int]:
    puzzle, statements = puzzle_of(row)
    return depths(puzzle, find_night(puzzle.setting, statements))


def table_row(name: str, puzzles: list[list[int]]) -> str:
    bands = Counter(map(band, puzzles))
    questions = Counter(depth for puzzle in puzzles for depth in puzzle)
    percentages = [f"{bands[name] / len(puzzles):.0%}" for name in BANDS]
    percentages += [f"{questions[depth] / questions.total():.0%}" for depth in range(4)]
    return f"| {name} | {len(puzzles)} | {' | '.join(percentages)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puzzles", type=int, default=120, help="puzzles for each number of players (default 120)")
    parser.add_argument("--seed", type=int, default=0, help="which puzzles (default 0)")
    parser.add_argument("--determine", choices=("world", "answers"), default="world")
    parser.add_argument("--file", help="grade the puzzles of a file, a folder or a Hub id instead")
    parser.add_argument("--num-proc", type=int, default=os.cpu_count())
    args = parser.parse_args()
    if args.puzzles < 1:
        parser.error(f"--puzzles {args.puzzles} is too few: use 1 or more.")
    try:
        splits = read_rows(args.file) if args.file else {}
    except ValueError as error:
        parser.error(f"--file {args.file}: {error}")
    print("| size | puzzles | easy | medium | hard | one clue | propagation | look-ahead | search |")
    print("|---|---|---|---|---|---|---|---|---|")
    if args.file:
        for split, rows in splits.items():
            print(table_row(split, list(tqdm(in_order(depths_in_file, rows, args.num_proc), total=len(rows), leave=False))))
        return
    by_players = []
    for players in range(1, 7):
        work = [(index, players) for index in range(args.puzzles)]
        graded = in_order(partial(depths_generated, seed=args.seed, determine=args.determine), work, args.num_proc)
        by_players.append(list(tqdm(graded, total=args.puzzles, leave=False)))
        print(table_row(f"{players} player{'s' if players > 1 else ''}", by_players[-1]), flush=True)
    print(table_row("default mix", [puzzle for some in by_players for puzzle in some]))


if __name__ == "__main__":
    main()
