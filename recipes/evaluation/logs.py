"""What training runs and benchmarks left on disk, read for the report: a `Run`, and benchmark rows grouped by their puzzles."""

from __future__ import annotations

from pathlib import Path

from puzzles.difficulty import BANDS
from puzzles.files import read_json
from recipes import ROOT
from recipes.checkpoints import COMPLETE, HELD_OUT_ACCURACY, read_log_history

NEEDED = (  # in a benchmark's result.json; all else may be missing
    *("name", "puzzles.source", "puzzles.n", "puzzles.digest", "responses.answered", "by_difficulty"),
    *("accuracy.n", "accuracy.mean", "accuracy.low", "accuracy.high", "completion_tokens", "dollars"),
)


class Run:
    """What a training run logged. An iteration is one generation batch; iteration 1 is of the untrained model.

    Attributes:
        folder: the run's.
        name: the run's folder, relative to outputs/ if it is in there.
        start: the model that it started from, a folder or an id on the Hub; None if not recorded.
        puzzles: the number of held-out puzzles.
        accuracy, length: iteration → accuracy on the held-out puzzles, and mean tokens in a completion.
        solved: iteration → share of the held-out puzzles' completions with every answer right.
        samples: how many completions of a held-out puzzle are generated; 1 if the following are not logged.
        best_of, pass_at: iteration → accuracy of the best of these completions, and the share of held-out puzzles that at least
            one of them solves; empty if not logged.
        training_accuracy, training_length: the same on the puzzles trained on in that iteration.
        before, after: band of difficulty → (held-out accuracy, low and high end of its 95 % interval), at the first and the
            last evaluation.
        unread: at these two, the share of held-out questions for which no answer could be read; None if not logged.
        soundness: at these two, the share of deductions proved, and how many a completion states, on the held-out puzzles;
            None if not logged.
    """

    def __init__(self, folder: Path):
        """Raises ValueError if the folder does not hold a run of recipes/grpo.py with an evaluation."""
        logs = read_log_history(folder)
        arguments = read_json(folder / "run.json")
        path, outputs = folder.resolve(), ROOT / "outputs"
        self.folder, self.start = folder, arguments.get("model_name_or_path")
        self.name = str(path.relative_to(outputs) if path.is_relative_to(outputs) else folder)
        if missing := {"num_eval_puzzles", "steps_per_iteration"} - set(arguments):
            raise ValueError(f"{folder / 'run.json'} lacks {', '.join(sorted(missing))}: it is not of recipes/grpo.py.")
        self.puzzles, steps_per_iteration = arguments["num_eval_puzzles"], arguments["steps_per_iteration"]

        def series(key: str, lag: int) -> dict[float, float]:
            """Iteration → value. `lag`: the steps that the logged step is ahead of the updates behind the value."""
            return {(log["step"] - lag) / steps_per_iteration + 1: log[key] for log in logs if key in log}

        # At step s an evaluation is of the model after s updates, a generation of the model after s − 1.
        self.accuracy, self.training_accuracy = series(HELD_OUT_ACCURACY, 0), series("rewards/accuracy/mean", 1)
        self.length, self.training_length = series("eval_completions/mean_length", 0), series("completions/mean_length", 1)
        self.solved = series("eval_solved", 0)
        best_of = next((key for log in logs for key in log if key.startswith("eval_best_of_")), "eval_best_of_1")
        self.samples = int(best_of.rpartition("_")[2])
        self.best_of, self.pass_at = series(best_of, 0), series(f"eval_pass_at_{self.samples}", 0)
        evaluations = [log for log in logs if HELD_OUT_ACCURACY in log]
        if not evaluations:
            raise ValueError(f"{folder} has not been evaluated on held-out puzzles yet: there is nothing to report.")
        first_and_last = (evaluations[0], evaluations[-1])
        self.before, self.after = (
            {band: band_accuracy(log, band) for band in BANDS if f"eval_accuracy/{band}" in log} for log in first_and_last
        )
        self.unread = [log.get("eval_unread_answers") for log in first_and_last]
        self.soundness = None
        if any("eval_deductions" in log for log in evaluations):
            self.soundness = {
                when: {"proved": log.get("eval_soundness"), "stated": log.get("eval_deductions")}
                for when, log in zip(("before", "after"), first_and_last, strict=True)
            }


def band_accuracy(log: dict, band: str) -> tuple[float, float | None, float | None]:
    """A band's accuracy in an evaluation, and the ends of its 95 % interval (normal approximation)."""
    mean, error = log[f"eval_accuracy/{band}"], log.get(f"eval_accuracy_error/{band}")
    return mean, *((None, None) if error is None else (mean - 1.96 * error, mean + 1.96 * error))


def newest_run(outputs: Path) -> list[Path]:
    """The folder of the run with the newest complete checkpoint, in a list; an empty list if there is no run."""
    markers = sorted(outputs.glob(f"**/checkpoint-*/{COMPLETE}"), key=lambda marker: marker.stat().st_mtime)
    return [markers[-1].parents[1]] if markers else []


def read_result(file: Path) -> dict:
    """A benchmark's result.json. Raises ValueError if it is damaged."""
    fix = "Run that benchmark again, which requests nothing that its logs hold, or delete the file."
    try:
        row = read_json(file)
    except ValueError as error:
        raise ValueError(f"{error} {fix}") from None
    for name in NEEDED:
        found = row
        for key in name.split("."):
            if not isinstance(found, dict) or key not in found:
                raise ValueError(f"{file} lacks {name}. {fix}")
            found = found[key]
    return row


def benchmarks_by_puzzles(folder: Path) -> dict[str, list[dict]]:
    """Benchmark results by a name for their puzzles, best first: only results on the same puzzles can be compared.

    Raises:
        ValueError: if a result is damaged.
    """
    sets: dict[tuple, list[dict]] = {}
    for file in sorted(folder.glob("*/result.json")):
        row = read_result(file)
        if row["accuracy"]["n"]:
            puzzles = row["puzzles"]
            sets.setdefault((puzzles["source"], puzzles["n"], puzzles["digest"]), []).append(row)
    return {
        f"{n} of {source} ({digest})": sorted(rows, key=lambda row: -row["accuracy"]["mean"])
        for (source, n, digest), rows in sorted(sets.items())
    }
