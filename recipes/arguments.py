"""Arguments of the recipes: YAML and command line, through TRL's parser."""

from __future__ import annotations

import difflib
import os
import sys
from argparse import RawDescriptionHelpFormatter
from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml
from trl import TrlParser

from puzzles.difficulty import BANDS
from puzzles.prompts import WORDINGS


@dataclass
class SizeArguments:
    """How large a generated puzzle is."""

    suspects: int | None = field(default=None, metadata={"help": "Suspects in a generated puzzle, 2 to 10."})
    weapons: int | None = field(default=None, metadata={"help": "Weapons in a generated puzzle, 2 to 8."})
    rooms: int | None = field(default=None, metadata={"help": "Rooms in a generated puzzle, 2 to 17."})
    times: int | None = field(default=None, metadata={"help": "Times in a generated puzzle, 1 to 24."})
    motives: int | None = field(default=None, metadata={"help": "Motives in a generated puzzle: 0, or 2 to the suspects."})

    def given(self) -> dict[str, int]:
        """The fields of puzzles.scenario.Size that are set."""
        names = [f.name for f in fields(SizeArguments)]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass
class PuzzleArguments(SizeArguments):
    """Which puzzles to train on and to score on."""

    dataset: str | None = field(
        default=None,
        metadata={
            "help": "Hub id or folder of a dataset with the splits `train` and `validation`, and the columns `prompt` (a text, "
            "or messages of text) and `solution` (the answers in order, or by letter). Leave it out to generate puzzles on "
            "the fly; `seed` then selects them."
        },
    )
    num_train_puzzles: int | None = field(default=None, metadata={"help": "How many to train on. Default: all, or 1024."})
    num_eval_puzzles: int = field(default=64, metadata={"help": "How many held-out puzzles to score on."})
    difficulty: list[str] | None = field(
        default=None,
        metadata={"help": f"Train only on puzzles of these bands ({', '.join(BANDS)}). Held-out puzzles come from all bands."},
    )
    curriculum: str | None = field(
        default=None,
        metadata={
            "help": "Go through the bands in turn in the first epoch, shuffled within each: 'depth' from easy to hard, "
            "'pass_rate' from the highest held-out accuracy before training to the lowest."
        },
    )
    wording: str = field(default="clear", metadata={"help": f"How generated prompts are framed: {', '.join(WORDINGS)}."})
    directness: float = field(
        default=0.0, metadata={"help": "0 as published; the closer to 2, the more clues state a fact outright (easier)."}
    )
    players: list[int] = field(
        default_factory=lambda: [1, 6],
        metadata={"help": "Range of players of the published size mix, within 1 to 6, unless a size is given below."},
    )


@dataclass
class RunArguments:
    """How a run computes, and how it resumes after an interruption."""

    optimizer_steps: int | None = field(
        default=None,
        metadata={
            "help": "Optimizer steps per generation batch. If given, it sets gradient_accumulation_steps for any number of "
            "processes, so that a recipe needs no change from 4 GPUs to 16."
        },
    )
    packing: bool = field(
        default=True,
        metadata={
            "help": "Compute a puzzle's prompt once for all of its samples, and skip padding and samples without an "
            "advantage: the same gradients in less time (recipes/packing.py). false: stock TRL."
        },
    )
    packed_tokens: int = field(
        default=16384,
        metadata={
            "help": "With packing: the most tokens that go forward and backward at once on a GPU. This, not "
            "per_device_train_batch_size, determines the memory that training needs; a longer row goes alone."
        },
    )
    deduction_weight: float = field(
        default=0.0,
        metadata={
            "help": "Weight of the reward for stated deductions that are justified (rewards/deductions/judge.py), next to 1 "
            "for the answers. 0: measured and logged, not trained on."
        },
    )
    resume: str = field(
        default="auto",
        metadata={
            "help": "'auto': resume from the newest complete checkpoint in output_dir, if there is one. 'never': refuse a "
            "folder that holds a run. Or the folder of a checkpoint to resume from."
        },
    )
    start_anyway: bool = field(
        default=False,
        metadata={"help": "Start even if the plan estimates that memory or disk will not suffice."},
    )


def puzzles_of(recipe: Path) -> PuzzleArguments:
    """The puzzles that a recipe's YAML names.

    Raises:
        OSError: if there is no such file.
    """
    values = yaml.safe_load(recipe.read_text()) or {}
    return PuzzleArguments(**{f.name: values[f.name] for f in fields(PuzzleArguments) if f.name in values})


def parse(types: tuple[type, ...], description: str) -> tuple:
    """One instance of each dataclass, from the command line and the YAML file that its `--config` names.

    An unknown key, an impossible value or a missing file ends the program with a line that names it.
    """
    parser = TrlParser(
        types,
        usage="%(prog)s [-h] [--config RECIPE.yaml] [--key value ...]",
        description=description,
        formatter_class=RawDescriptionHelpFormatter,
    )
    try:
        if "--config" in sys.argv[:-1]:  # report unknown keys before using the known ones
            recipe = Path(sys.argv[sys.argv.index("--config") + 1])
            if not recipe.exists():
                others = sorted(str(path) for path in recipe.parent.glob("*.yaml") if "output_dir:" in path.read_text())
                raise ValueError(f"there is no recipe {recipe}." + (f" There are {', '.join(others)}." if others else ""))
            known = [action.dest for action in parser._actions] + ["env"]
            for key in yaml.safe_load(recipe.read_text()) or {}:
                if key not in known:
                    close = difflib.get_close_matches(str(key), known, 1)
                    raise ValueError(
                        f"{recipe} has the unknown key {key!r}." + (f" Did you mean {close[0]!r}?" if close else "")
                    )
        return parser.parse_args_and_config()
    except (ValueError, OSError, yaml.YAMLError) as error:
        if "bf16/gpu" in str(error):
            error = "no GPU with bf16 was found. Use recipes/tiny-cpu.yaml, or --use_cpu true (and mind the size)."
        if os.environ.get("RANK", "0") != "0":  # only one process prints it
            sys.exit(2)
        parser.error(str(error))
