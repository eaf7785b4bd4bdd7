"""How much faster is the generator than the published generator's scheme, and does it choose the same clues?

  python -m benchmarks.generate                             the complete table, half an hour
  python -m benchmarks.generate --puzzles 2 --limit 10      a quick look, 2 minutes

This file holds a copy of the published generator's scheme, re-implemented here for the comparison; nothing else uses it. For
each candidate clue that scheme builds a CP-SAT model without the clue and enumerates up to two solutions of it
(`published_minimal`). `PublishedModel` states the rules in the same detail as the published model: a boolean for each piece,
time and room; the murder scene for each suspect, weapon, room and time; a weapon's move for each pair of rooms.

Both schemes get the same nights and the same candidates in the same order, on one thread of one process. The sample has the
same number of puzzles for each number of players, 1 to 6, like the default mix; its median ratio is over all of them. The
published scheme is stopped after `--limit` seconds per puzzle. What it has decided by then is compared, and its time and ratio
are lower bounds, which does not change a median that is below them.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from pathlib import Path

from ortools.sat.python import cp_model
from tqdm import tqdm

from puzzles.clues import At, Beside, Carried, Clue, Iff, Motivated, Moved, Murder, Or, SameRoom, Together
from puzzles.files import write_json
from puzzles.generator import candidate_clues, minimal
from puzzles.scenario import BODDY, MURDER_WEAPON, MURDERER, Night, Setting, Size, night

LARGEST = Size(suspects=10, weapons=8, rooms=17, times=12)


class PublishedModel(cp_model.CpModel):
    """The rules and clues as booleans, re-implemented in the detail in which the published generator states them."""

    def __init__(self, s: Setting, clues: list[Clue]):
        super().__init__()
        self.s = s
        self._defined: dict[tuple, cp_model.IntVar] = {}
        self.at = {p: {t: self.one_of(s.rooms, f"{p} {t}") for t in s.times} for p in s.pieces}
        self.motive = {x: self.one_of(s.motive_names, f"{x} motive") for x in s.suspects} if s.motives else {}
        self.murderer, self.weapon = self.one_of(s.suspects, "murderer"), self.one_of(s.weapons, "murder weapon")
        self.room, self.time = self.one_of(s.rooms, "murder room"), self.one_of(s.times, "murder time")
        for motive, count in s.motives:
            self.add(sum(choice[motive] for choice in self.motive.values()) == count)
        self.murder()
        self.moves()
        for clue in clues:
            self.add(self.literal(clue) == 1)

    def one_of(self, values: tuple[str, ...], name: str) -> dict[str, cp_model.IntVar]:
        choice = {value: self.new_bool_var(f"{name} {value}") for value in values}
        self.add_exactly_one(choice.values())
        return choice

    def murder(self) -> None:
        s, at = self.s, self.at
        for room, in_room in self.room.items():
            for time_, at_time in self.time.items():
                self.add(sum(at[x][time_][room] for x in s.suspects) == 1).only_enforce_if(in_room, at_time)
                for x, guilty in self.murderer.items():
                    for w, used in self.weapon.items():
                        scene = self.add(at[x][time_][room] + at[w][time_][room] == 2)
                        scene.only_enforce_if(guilty, used, in_room, at_time)
        past: list[cp_model.IntVar] = []
        for time_, at_time in self.time.items():
            past.append(at_time)
            for room, in_room in self.room.items():
                self.add(at[BODDY][time_][room] == 1).only_enforce_if(in_room, self.any(*past))

    def moves(self) -> None:
        s, at = self.s, self.at
        for before, after in zip(s.times, s.times[1:], strict=False):
            for origin in s.rooms:
                for room in s.rooms:
                    if room == origin:
                        continue
                    if room not in s.neighbours(origin):
                        for person in s.people:
                            self.add_at_most_one(at[person][before][origin], at[person][after][room])
                    for w in s.weapons:
                        steps = [self.all(at[x][before][origin], at[x][after][room]) for x in s.suspects]
                        self.add_at_least_one(steps).only_enforce_if(at[w][before][origin], at[w][after][room])

    def all(self, *literals: cp_model.IntVar) -> cp_model.IntVar:
        return self._define("all", literals, lambda total: (total == len(literals), total < len(literals)))

    def any(self, *literals: cp_model.IntVar) -> cp_model.IntVar:
        return self._define("any", literals, lambda total: (total >= 1, total < 1))

    def _define(self, kind: str, literals, meaning) -> cp_model.IntVar:
        key = (kind, *sorted(x.index for x in literals))
        if key not in self._defined:
            self._defined[key] = variable = self.new_bool_var(f" {kind} ".join(map(str, literals)))
            true, false = meaning(sum(literals))
            self.add(true).only_enforce_if(variable)
            self.add(false).only_enforce_if(~variable)
        return self._defined[key]

    def bearers(self, reference: str) -> dict[str, list[cp_model.IntVar]]:
        if reference == MURDERER:
            return {x: [is_it] for x, is_it in self.murderer.items()}
        if reference == MURDER_WEAPON:
            return {w: [is_it] for w, is_it in self.weapon.items()}
        if reference in self.s.motive_counts:
            return {x: [choice[reference]] for x, choice in self.motive.items()}
        return {reference: []}

    def literal(self, clue: Clue) -> cp_model.IntVar:
        s, at = self.s, self.at
        who = self.bearers(clue.who) if hasattr(clue, "who") else {}
        match clue:
            case At(_, room, t):
                return self.any(*(self.all(*is_it, at[p][t][room]) for p, is_it in who.items()))
            case Or(first, second) | Iff(first, second):
                same = isinstance(clue, Iff)
                a, b = self.literal(first), self.literal(second)
                return self._define(type(clue).__name__, (a, b), lambda n: (n != 1, n == 1) if same else (n == 1, n != 1))
            case SameRoom(_, other, t):
                return self.any(*(self.all(*is_it, at[p][t][r], at[other][t][r]) for p, is_it in who.items() for r in s.rooms))
            case Together(_, other, room):
                both = (self.all(*is_it, at[p][t][room], at[other][t][room]) for p, is_it in who.items() for t in s.times)
                return self.any(*both)
            case Moved(_, origin, room, t):
                before = s.before(t)
                return self.any(*(self.all(*is_it, at[p][before][origin], at[p][t][room]) for p, is_it in who.items()))
            case Carried(_, weapon, origin, room, t):
                return self.all(*(self.literal(Moved(p, origin, room, t)) for p in (clue.who, weapon)))
            case Beside(piece, direction, other, t):
                pairs = ((s.beside(room, direction), room) for room in s.rooms)
                return self.any(*(self.all(at[piece][t][there], at[other][t][room]) for there, room in pairs if there))
            case Motivated(suspect, motive):
                return self.motive[suspect][motive]
            case Murder("motive", motive):
                return self.any(*(self.all(self.murderer[x], *is_it) for x, is_it in self.bearers(motive).items()))
            case Murder(aspect, value):
                return getattr(self, aspect)[value]
        raise TypeError(f"{clue!r} is not a clue.")


class Count(cp_model.CpSolverSolutionCallback):
    """Counts solutions, and stops the search at the second."""

    def __init__(self):
        super().__init__()
        self.found = 0

    def on_solution_callback(self) -> None:
        self.found += 1
        if self.found > 1:
            self.stop_search()


def published_minimal(truth: Night, clues: list[Clue], limit: float) -> tuple[list[Clue], int]:
    """The clues that the published scheme keeps, and how many candidates it tried within `limit` seconds."""
    deadline = time.perf_counter() + limit
    kept = list(clues)
    for tried, clue in enumerate(clues):
        if time.perf_counter() > deadline:
            return kept, tried
        rest = [other for other in kept if other is not clue]
        solver = cp_model.CpSolver()
        solver.parameters.enumerate_all_solutions = True
        solver.parameters.num_workers = 1
        solver.solve(PublishedModel(truth.setting, rest), count := Count())
        if count.found == 1:
            kept = rest
    return kept, len(clues)


def measure(truth: Night, limit: float) -> dict:
    """Both schemes on one night and the same candidate clues: seconds, and whether they keep the same clues."""
    clues = candidate_clues(random.Random(0), truth)
    started = time.perf_counter()
    ours = minimal(truth, clues)
    ours_s = time.perf_counter() - started
    started = time.perf_counter()
    theirs, tried = published_minimal(truth, clues, limit)
    return {
        "cells": len(truth.setting.pieces) * len(truth.setting.times),
        "ours_s": ours_s,
        "published_s": time.perf_counter() - started,
        "identical": [c for c in clues[:tried] if c in ours] == [c for c in clues[:tried] if c in theirs],
        "finished": tried == len(clues),
    }


def row(size: str, runs: list[dict]) -> dict:
    median = {key: statistics.median(run[key] for run in runs) for key in ("cells", "ours_s", "published_s")}
    ratio = statistics.median(run["published_s"] / run["ours_s"] for run in runs)
    identical, finished = all(run["identical"] for run in runs), sum(run["finished"] for run in runs)
    return {"size": size, **median, "ratio_median": ratio, "identical": identical, "n": len(runs), "finished": finished}


def growth(runs: list[dict], key: str) -> float:
    """The k of cost ~ (pieces × times)^k, least squares on logarithms."""
    logs = [(math.log(run["cells"]), math.log(run[key])) for run in runs]
    return statistics.linear_regression(*zip(*logs, strict=True)).slope


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puzzles", type=int, default=3, help="puzzles for each number of players (default 3)")
    parser.add_argument("--limit", type=float, default=180.0, help="seconds per puzzle for the published scheme (default 180)")
    parser.add_argument("--seed", type=int, default=0, help="which puzzles (default 0)")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench-generate.json"))
    args = parser.parse_args()
    if args.puzzles < 2:
        parser.error(f"--puzzles {args.puzzles} is too few for a median: ask for at least 2.")
    sizes = {f"{n} player{'s' if n > 1 else ''}": {"players": (n, n)} for n in range(1, 7)}
    sizes["largest"] = {"size": LARGEST}
    runs: dict[str, list[dict]] = {}
    for name, how in tqdm(sizes.items(), unit="size"):
        nights = [night(args.seed, index, **how) for index in range(args.puzzles if name != "largest" else 1)]
        runs[name] = [measure(truth, args.limit) for truth in tqdm(nights, desc=name, unit="puzzle", leave=False)]
    mix = [run for name, some in runs.items() if name != "largest" for run in some]
    rows = [*(row(name, some) for name, some in runs.items()), row("default mix", mix)]
    print(f"{'size':12} {'pieces × times':>14} {'ours':>10} {'published':>10} {'ratio':>8}  same clues   finished")
    for r in rows:
        ratio = ("" if r["finished"] == r["n"] else "≥") + f"{r['ratio_median']:.0f}"
        print(
            f"{r['size']:12} {r['cells']:14.0f} {r['ours_s']:8.4f} s {r['published_s']:8.2f} s {ratio:>8}"
            f"  {'yes' if r['identical'] else 'NO':10}   {r['finished']} of {r['n']}"
        )
    print("cost grows with (pieces × times) to the power of", end=" ")
    print(f"{growth([*mix, *runs['largest']], 'ours_s'):.2f} (ours),", end=" ")
    finished = [run for run in mix if run["finished"]]
    print(f"{growth(finished, 'published_s'):.2f} (published, where finished). Medians throughout.")
    write_json(args.output, {"rows": rows, "default_ratio_median": rows[-1]["ratio_median"]})
    print(f"rows: {args.output}")


if __name__ == "__main__":
    main()
