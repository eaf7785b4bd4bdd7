"""Arguments of the recipes: YAML and command line, through TRL's parser."""

from __future__ import annotations

import difflib
import math
import os
import shlex
import sys
from argparse import ArgumentError, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from trl import TrlParser

from puzzles.difficulty import BANDS
from puzzles.files import read_yaml
from puzzles.prompts import WORDINGS

AT_LEAST_ONE = (
    *("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps", "steps_per_generation"),
    *("generation_batch_size", "num_generations", "num_generations_eval", "num_iterations", "max_completion_length"),
    *("optimizer_steps", "vllm_tensor_parallel_size", "vllm_max_model_length", "alarm_window", "alarm_evals"),
)


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
        metadata={
            "help": "Range of players of the published size mix, such as 1 6, or one number, unless a size is given below."
        },
    )


@dataclass
class RunArguments:
    """How a run computes, and how it resumes after an interruption."""

    optimizer_steps: int | None = field(
        default=None,
        metadata={
            "help": "Optimizer steps per generation batch. If given, it sets gradient_accumulation_steps for any number of "
            "processes, and lowers per_device_eval_batch_size where an evaluation would not divide evenly, so that a recipe "
            "needs no change from 4 GPUs to 16."
        },
    )
    packing: str = field(
        default="auto",
        metadata={
            "help": "Compute a puzzle's prompt once for all of its samples, and skip padding and samples without an "
            "advantage: the same gradients in less time (recipes/packing.py). auto: where the model does not allow the "
            "first, do the rest. true: refuse such a model. false: stock TRL."
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
    solved_weight: float = field(
        default=0.0,
        metadata={
            "help": "Share of the reward for answers that only a puzzle with every answer right earns, from 0 to 1. "
            "0: the fraction of answers right, as published."
        },
    )
    format_weight: float = field(
        default=0.0,
        metadata={
            "help": "Reward for a completion in which every answer can be read, right or wrong; one right answer counts 1. "
            "Less than 1 - solved_weight, so that it never outweighs one. 0: none, as published."
        },
    )
    overlong_buffer: int = field(
        default=0,
        metadata={
            "help": "Punish length as DAPO does: over the last N tokens before max_completion_length the reward falls "
            "linearly, by 0.5 at the end, half of what a perfect answer earns. 0: not at all, as published."
        },
    )
    best_of_k: int = field(
        default=1,
        metadata={
            "help": "Train on the expected best of k samples instead of their mean (recipes/advantages.py), from 1 to "
            "num_generations - 1. 1: GRPO."
        },
    )
    refill_groups: int = field(
        default=0,
        metadata={
            "help": "Replace puzzles whose samples all earn the same by others, drawn at random and sampled anew, in up to "
            "N rounds per generation. 0: leave them, as published."
        },
    )
    learning_rate_power: float = field(
        default=0.0,
        metadata={
            "help": "Multiply the learning rate by (rows that teach / learning_rate_rows) ** power. Rows with an advantage "
            "other than 0 teach. 0.5 and 1 are the usual rules for AdamW and SGD. 0: constant, as published."
        },
    )
    learning_rate_rows: int | None = field(
        default=None,
        metadata={"help": "Rows of a generation at which learning_rate holds as given. Default: all, which it never exceeds."},
    )
    muon_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Train the hidden matrices with Muon (recipes/optimizer.py) at this learning rate, and only the other "
            "weights with AdamW at learning_rate. Not with ZeRO-3. Default: AdamW for all."
        },
    )
    resume: str = field(
        default="auto",
        metadata={
            "help": "'auto': resume from the newest complete checkpoint in output_dir, if there is one. 'never': refuse a "
            "folder that holds a run. Or the folder of a checkpoint to resume from; given again, it does not "
            "go back there twice."
        },
    )
    delete_later: bool = field(
        default=False,
        metadata={
            "help": "Where `resume` names a checkpoint: delete later ones in output_dir, and the best model if it is later. "
            "false: refuse if there are any."
        },
    )
    final: str = field(
        default="best",
        metadata={"help": "Which model goes to model/ at the end: 'best' by held-out accuracy, or 'last'."},
    )
    dry_run: bool = field(
        default=False,
        metadata={"help": "Check all options, the puzzles and this machine, and end before anything is loaded or written."},
    )
    start_anyway: bool = field(
        default=False,
        metadata={"help": "Start even if the plan estimates that memory or disk will not suffice."},
    )

    def __post_init__(self):
        choices = {"auto": "auto", "true": True, "false": False}
        if str(self.packing).lower() not in choices:
            raise ValueError(f"packing: {self.packing} is unknown: use auto, true or false.")
        self.packing = choices[str(self.packing).lower()]


def words(text: str) -> list[str]:
    """The options in a text, as a shell would read them; a type for argparse."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} can't be split into options ({error}): close every quote.") from None


def puzzles_of(recipe: Path) -> PuzzleArguments:
    """The puzzles that a recipe's YAML names.

    Raises:
        ValueError: if it cannot be read.
    """
    values = read_yaml(recipe)
    return PuzzleArguments(**{f.name: values[f.name] for f in fields(PuzzleArguments) if f.name in values})


def parse(types: tuple[type, ...], description: str, arguments: Sequence[str] | None = None) -> tuple:
    """One instance of each dataclass, from `arguments` (the command line) and the YAML file that their `--config` names.

    A value in the YAML file means what it means on the command line, which overrides it. An unknown key, an impossible value or
    a file that cannot be read ends the program with a line that names it.
    """
    parser = TrlParser(
        types,
        usage="%(prog)s [-h] [--config RECIPE.yaml] [--key value ...]",
        description=description,
        formatter_class=RawDescriptionHelpFormatter,
        exit_on_error=False,
    )
    parser.set_defaults(eval_on_start=None)  # so that recipes/checks.py can tell whether it was given
    arguments = sys.argv[1:] if arguments is None else arguments
    arguments = [x for word in arguments for x in (word.split("=", 1) if word.startswith("--config=") else [word])]
    try:
        if "--config" in arguments:
            at = arguments.index("--config")
            recipe, arguments[at : at + 2] = arguments[at + 1 : at + 2], []
            arguments = [*recipe_arguments(parser, recipe), *arguments]
        check_values(parser, arguments)
        parsed = parser.parse_args_into_dataclasses(arguments)
        for name, value in (item for instance in parsed for item in vars(instance).items()):
            if name.endswith("_kwargs") and not isinstance(value, dict | None):
                raise ValueError(f"{name}: {value!r} is not a mapping: write '{{\"name\": value}}'.")
        return parsed
    except (ValueError, TypeError, OSError, ArgumentError) as error:
        if "bf16/gpu" in str(error):
            error = "no GPU with bf16 was found. Use recipes/tiny-cpu.yaml, or --use_cpu true (and mind the size)."
        if os.environ.get("LOCAL_RANK", "0") != "0":  # one process of each node prints it
            sys.exit(2)
        parser.error(str(error))


def recipe_arguments(parser: TrlParser, given: list[str]) -> list[str]:
    """The options of a recipe as command-line arguments; its `env` goes into the environment, mappings become defaults.

    Args:
        given: what follows --config, the recipe or nothing.

    Raises:
        ValueError: if there is no such recipe, or it has an unknown key or an impossible value.
    """
    if not given or given[0].startswith("--"):
        raise ValueError("--config lacks the recipe: name its YAML file, as in --config recipes/tiny-cpu.yaml.")
    recipe, arguments = Path(given[0]), []
    if not recipe.exists():
        yamls = (path for path in recipe.parent.glob("*.yaml") if path.is_file())
        others = sorted(str(path) for path in yamls if b"output_dir:" in path.read_bytes())
        raise ValueError(f"there is no recipe {recipe}." + (f" There are {', '.join(others)}." if others else ""))
    known = {action.dest: action for action in reversed(parser._actions)}  # the first of those with the same name
    for key, value in read_yaml(recipe).items():
        if key == "env" and isinstance(value, dict):
            os.environ |= {str(name): str(setting) for name, setting in value.items()}
        elif key not in known:
            close = difflib.get_close_matches(str(key), known, 1)
            raise ValueError(f"{recipe} has the unknown key {key!r}." + (f" Did you mean {close[0]!r}?" if close else ""))
        elif isinstance(value, dict) and key.endswith(("_kwargs", "_config")):
            parser.set_defaults(**{key: value})
        elif isinstance(value, list) and known[key].nargs == "+":
            arguments += [f"--{key}", *map(str, value)]
        elif isinstance(value, list) and key in ("report_to", "optim_target_modules"):
            parser.set_defaults(**{key: value})
        elif isinstance(value, list | dict) and known[key].type is str and not key.endswith(("_kwargs", "_config")):
            raise ValueError(
                f"{recipe}: {key}: {value} is {'a list' if isinstance(value, list) else 'a mapping'}: give one value."
            )
        elif not (value is known[key].default is None):
            arguments.append(f"--{key}={'null' if value is None else value}")
    try:
        check_values(parser, arguments)
    except (ValueError, ArgumentError) as error:
        raise ValueError(f"{recipe}: {error}") from None
    return arguments


def check_values(parser: TrlParser, arguments: list[str]) -> None:
    """Check each value of these arguments on its own.

    Raises:
        ArgumentError: if it is of the wrong type.
        ValueError: if it is not a number where one is needed, less than 1 where it counts something, or not a valid seed.
    """
    for name, value in vars(parser.parse_known_args(arguments)[0]).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name}: {value} is not a finite number.")
        if name in AT_LEAST_ONE and value is not None and value < 1:
            raise ValueError(f"{name}: {value} is too few: use 1 or more.")
        if name == "num_generations" and value is None:  # TRL's type allows it, its arithmetic does not
            raise ValueError("num_generations: null is not a number of samples: use 2 or more.")
        if name in ("seed", "data_seed") and value is not None and not 0 <= value < 2**32:
            raise ValueError(f"{name}: {value} is impossible: use 0 to {2**32 - 1}.")
