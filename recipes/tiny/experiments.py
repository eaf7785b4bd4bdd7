"""Questions put to the CPU recipe, over several seeds. The first two are published findings, in miniature.

  python recipes/tiny/experiments.py 16            (make experiment-16)          train on 16 puzzles alone
  python recipes/tiny/experiments.py tradeoff      (make experiment-tradeoff)    puzzles × samples an iteration, always 64
  python recipes/tiny/experiments.py deductions    (make experiment-deductions)  with a reward for justified deductions

Each arm is `recipes/tiny-cpu.yaml` with the one change that its name says, from the warm start of `make train-tiny`, scored
before and after on the same 400 fresh puzzles, sampled. Arms and seeds that are done are not done again, also across the
experiments.
"""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np

from puzzles.files import write_json
from puzzles.tables import markdown_table
from recipes.checkpoints import read_log_history
from recipes.tiny.train_tiny import GRPO, ROOT, Parts, held_out, score, warm_start

FOLDER = ROOT / "outputs" / "experiments"
# The recipe as it is comes first: 8 puzzles × 8 samples an iteration, out of 1,024 puzzles.
RECIPE: dict[str, tuple[str, ...]] = {"8 × 8 of 1024": ()}
EXPERIMENTS = {
    "16": RECIPE | {"8 × 8 of 16": ("--num_train_puzzles", "16")},
    "tradeoff": RECIPE | {f"{64 // n} × {n} of 1024": ("--num_generations", f"{n}") for n in (2, 4, 16, 32)},
    "deductions": RECIPE | {"8 × 8 of 1024 deductions 0.5": ("--deduction_weight", "0.5")},
}
# Student's t, 97.5 %, by degrees of freedom (any table of it): for a 95 % interval of a mean over a few seeds.
T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def run_arm(name: str, changes: tuple[str, ...], seed: int) -> dict[str, float]:
    """Held-out accuracy before and after an arm, and its training accuracy over the last ten steps."""
    warm = warm_start(seed)
    folder = FOLDER / f"seed-{seed}" / name.replace(" × ", "x").replace(" ", "-")
    file = folder / "scores.json"
    if not file.exists():
        train = ("--seed", f"{seed}", "--model_name_or_path", f"{warm}", "--output_dir", f"{folder / 'grpo'}", *changes)
        Parts(folder).run(name, *GRPO, *train)
        rewards = [log["rewards/accuracy/mean"] for log in read_log_history(folder / "grpo") if "rewards/accuracy/mean" in log]
        rows = held_out(seed)
        before, after = (score(model, rows, "sampled", seed) for model in (warm, folder / "grpo" / "model"))
        scores = {"before": before["sampled"], "after": after["sampled"], "trained_on": sum(rewards[-10:]) / len(rewards[-10:])}
        for name in ("soundness", "deductions"):
            scores |= {f"{name}_before": before[f"sampled_{name}"], f"{name}_after": after[f"sampled_{name}"]}
        write_json(file, scores)
    return json.loads(file.read_text())


def over_seeds(values: list[float]) -> str:
    """Mean ± half of its 95 % interval (Student's t over seeds)."""
    half = T[len(values) - 1] * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):+.3f} ± {half:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="2 to 10 of them (default 0 1 2)")
    args = parser.parse_args()
    if not 2 <= len(set(args.seeds)) == len(args.seeds) <= 10:
        parser.error(f"--seeds {' '.join(map(str, args.seeds))}: name 2 to 10 different ones, for an interval over them.")
    arms = EXPERIMENTS[args.experiment]
    scores = {arm: [run_arm(arm, changes, seed) for seed in args.seeds] for arm, changes in arms.items()}
    recipe = next(iter(arms))
    rows = []
    for arm, runs in scores.items():
        pairs = ", ".join(f"{s['before']:.3f} → {s['after']:.3f}" for s in runs)
        sound = ", ".join(f"{s['soundness_before']:.3f} → {s['soundness_after']:.3f}" for s in runs)
        gain = over_seeds([s["after"] - s["before"] for s in runs])
        pairwise = zip(runs, scores[recipe], strict=True)
        against = "" if arm == recipe else over_seeds([s["after"] - r["after"] for s, r in pairwise])
        rows.append((arm, pairs, gain, against, f"{np.mean([s['trained_on'] for s in runs]):.3f}", sound))
    header = ("puzzles × samples, of how many", "before → after, by seed", "gain", "against the recipe as it is")
    header += ("training puzzles", "deductions proved, before → after")
    write_json(FOLDER / f"{args.experiment}.json", {"seeds": args.seeds, "arms": scores})
    print(f"\nHeld-out accuracy, seeds {', '.join(map(str, args.seeds))}; ± 95 % over seeds:\n\n{markdown_table(header, rows)}")
    print(f"\n{FOLDER / (args.experiment + '.json')}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command goes on from here.")
