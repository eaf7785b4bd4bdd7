"""The puzzles of a run: loaded from a dataset, or generated on the fly.

Whatever a dataset looks like, `load_puzzles` returns rows like those of `make dataset`: the prompt is a list of messages, each
with a text, and the solution a list of answers in the order of the questions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from datasets import ClassLabel, Dataset, Features, concatenate_datasets, load_dataset, load_dataset_builder
from datasets.exceptions import DatasetsError

from puzzles.arguments import players_range
from puzzles.dataset import FEATURES, FRESH, HELD_OUT, build, load_splits, puzzle_of
from puzzles.difficulty import BANDS
from puzzles.fingerprint import split_fingerprint
from puzzles.messages import text_of
from puzzles.scenario import size_of
from recipes.arguments import PuzzleArguments
from recipes.machine import print_once
from rewards.accuracy import by_letter

SEARCH_LIMIT = 20  # puzzles to generate for each wanted one of the chosen bands before giving up


def load_puzzles(args: PuzzleArguments, seed: int) -> tuple[Dataset, Dataset]:
    """The puzzles to train on and the held-out ones.

    Raises:
        ValueError: if the dataset cannot be read, lacks a split, a column or enough rows, or has a row that is not a puzzle;
            or if a size, band or curriculum is impossible.
    """
    if unknown := set(args.difficulty or []) - set(BANDS):
        raise ValueError(f"difficulty={unknown.pop()!r} is unknown: choose among {', '.join(BANDS)}.")
    if args.curriculum not in (None, "depth", "pass_rate"):
        raise ValueError(f"curriculum={args.curriculum!r} is unknown: choose 'depth' or 'pass_rate', or leave it out.")
    for name in ("num_train_puzzles", "num_eval_puzzles"):
        if (count := getattr(args, name)) is not None and count < 1:
            raise ValueError(f"{name}={count} is too few: use 1 or more.")
    if dataset_not_made_yet(args):
        raise ValueError(f"there is no dataset {args.dataset} yet: make it with `make dataset`.")
    return load_from_dataset(args) if args.dataset else generate_on_the_spot(args, seed)


def dataset_not_made_yet(args: PuzzleArguments) -> bool:
    """Whether the dataset is one that `make dataset` writes (a folder in outputs/), and it is not there."""
    return bool(args.dataset) and args.dataset.startswith("outputs/") and not Path(args.dataset).exists()


def generate_on_the_spot(args: PuzzleArguments, seed: int) -> tuple[Dataset, Dataset]:
    """Generated puzzles to train on and held-out ones, which may be alike up to renaming if they are small."""
    options = build_options(args)
    held_out = build(seed, HELD_OUT, args.num_eval_puzzles, **options)
    wanted = args.num_train_puzzles or 1024
    if not args.difficulty:
        return build(seed, 0, wanted, **options), held_out

    def of_these_bands(rows: Dataset) -> list[bool]:
        return [band in args.difficulty for band in rows["difficulty"]]

    what = f"generated puzzles are {' or '.join(args.difficulty)}"
    fix = "ask for fewer, or another size, or make a dataset first (make dataset ARGS='--mix …')"
    return search(seed, 0, wanted, options, of_these_bands, what, fix), held_out


def fresh_puzzles(args: PuzzleArguments, seed: int, count: int, seen: Collection[str] = ()) -> Dataset:
    """Generated puzzles that a run with this seed neither trains on nor is evaluated on during training.

    Args:
        seen: fingerprints of clue sets. Puzzles that have one of these, under whatever names, are left out.

    Raises:
        ValueError: if too few are left.
    """
    options = build_options(args)
    if not seen:
        return build(seed, FRESH, count, **options)

    def are_new(rows: Dataset) -> list[bool]:
        return [clue_set not in seen for clue_set in clue_sets(rows)]

    what = "fresh puzzles differ in more than names from those trained on"
    return search(seed, FRESH, count, options, are_new, what, "ask for fewer, or for larger puzzles")


def search(
    seed: int, first: int, wanted: int, options: dict, keep: Callable[[Dataset], list[bool]], what: str, fix: str
) -> Dataset:
    """The first `wanted` puzzles of a series, from the index `first` on, that `keep` chooses.

    Raises:
        ValueError: saying `what` too few of `SEARCH_LIMIT` times as many are, and the fix.
    """
    found: list[Dataset] = []
    for start in range(first, first + SEARCH_LIMIT * wanted, wanted):
        rows = build(seed, start, wanted, **options)
        found.append(rows.select([i for i, kept in enumerate(keep(rows)) if kept]))
        if sum(map(len, found)) >= wanted:
            return concatenate_datasets(found).take(wanted)
    raise ValueError(f"only {sum(map(len, found))} of {SEARCH_LIMIT * wanted} {what}, not {wanted}: {fix}.")


def clue_sets(rows: Dataset) -> list[str]:
    """The fingerprint of each puzzle's clue set, which no renaming changes."""
    puzzles = (puzzle_of({"prompt": prompt})[0] for prompt in rows["prompt"])
    return [split_fingerprint(puzzle.setting, puzzle.clues) for puzzle in puzzles]


def build_options(args: PuzzleArguments) -> dict:
    """The keyword arguments of `build` that say what kind of puzzles to generate.

    Raises:
        ValueError: if a size is impossible.
    """
    try:
        players = players_range(args.players)
    except ValueError:
        raise ValueError(f"players={args.players} is not a range: give 3, or [1, 6] (--players 3, --players 1 6).") from None
    options = {"size": size_of(**args.given()), "players": players}
    return options | {"directness": args.directness, "wording": args.wording}


def load_from_dataset(args: PuzzleArguments) -> tuple[Dataset, Dataset]:
    """The puzzles of a dataset's splits train and validation; see `load_puzzles`."""
    if Path(args.dataset).is_file():
        raise ValueError(
            f"dataset {args.dataset!r} is one file: put it into a folder as train{Path(args.dataset).suffix}, held-out "
            f"puzzles beside it as validation{Path(args.dataset).suffix}, and pass the folder."
        )
    try:
        splits = load_every_split(args.dataset)
    except (DatasetsError, OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise ValueError(f"dataset {args.dataset!r} cannot be read: {error.__cause__ or error}") from error
    train = choose_rows(splits, "train", args.num_train_puzzles, args)
    held_out = choose_rows(splits, "validation", args.num_eval_puzzles, args)
    trained_on = {prompt[-1]["content"] for prompt in train["prompt"]}
    shared = sum(prompt[-1]["content"] in trained_on for prompt in held_out["prompt"])
    if shared:
        print_once(
            f"dataset {args.dataset!r}: {shared} of the {len(held_out)} held-out puzzles are also trained on, so held-out "
            "scores will be too high: remove them from the split 'train'."
        )
    return train, held_out


def puzzles_digest(*splits: Dataset) -> str:
    """A digest of the prompts and solutions of some rows, in their order."""
    digest = hashlib.sha256()
    for rows in splits:
        for row in rows.select_columns(["prompt", "solution"]):
            digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()[:12]


def load_every_split(source: str) -> dict[str, Dataset]:
    """The splits of a dataset by name; those of other people's files may differ in their columns.

    `load_dataset` expects the columns of the first split in all others, so each such split is loaded alone.
    """
    if (Path(source) / "dataset.json").exists():
        return load_splits(source)
    builder = load_dataset_builder(source)
    if not (files := builder.config.data_files):
        return load_splits(source)
    return {str(split): load_dataset(builder.name, data_files={split: files[split]}, split=split) for split in files}


def choose_rows(splits: dict[str, Dataset], split: str, count: int | None, args: PuzzleArguments) -> Dataset:
    """The first `count` rows of a split that are wanted (all, if it is None), normalized.

    Raises:
        ValueError: if the split, a column or enough rows are missing, or a row is not a puzzle.
    """
    name = f"dataset {args.dataset!r}, split {split!r}"
    if split not in splits:
        raise ValueError(
            f"dataset {args.dataset!r} has no split {split!r}, only {', '.join(splits)}: add one as a file or folder "
            f"{split}, with rows that no other split holds."
        )
    rows = splits[split]
    needed = {"prompt", "solution"} | ({"difficulty"} if args.difficulty or args.curriculum else set())
    if missing := needed - set(rows.column_names):
        raise ValueError(
            f"{name}, lacks the column(s) {', '.join(sorted(missing))}, and has {', '.join(rows.column_names)}: rename them."
        )
    if isinstance(kind := rows.features.get("difficulty"), ClassLabel):
        names = [kind.int2str(i) if i is not None else None for i in rows["difficulty"]]
        rows = rows.remove_columns("difficulty").add_column("difficulty", names)
    if args.curriculum and (unknown := difficulties(rows) - {*BANDS}):
        raise ValueError(f"{name}, has the difficulty {unknown.pop()!r}: curriculum needs {', '.join(BANDS)}.")
    indices, of_bands = [*range(len(rows))], ""
    if args.difficulty and split == "train":
        indices = [i for i, band in enumerate(rows["difficulty"]) if band in args.difficulty]
        of_bands = f" of difficulty {', '.join(args.difficulty)}"
        if not indices:
            found = ", ".join(sorted(map(str, difficulties(rows)))[:5])
            raise ValueError(f"{name}, has no row{of_bands}, only {found or 'none at all'}.")
    count = count or len(indices) or 1
    if count > len(indices):
        raise ValueError(f"{name}, has {len(indices)} rows{of_bands}, not {count}.")
    chosen = normalize_rows(rows, indices[:count], name)
    if rows[indices[0]]["prompt"] == chosen[0]["prompt"][0]["content"]:
        print_once(f"{name}: its prompts are plain text; each becomes the user's message in the model's chat template.")
    return chosen


def difficulties(rows: Dataset) -> set:
    """The distinct values in the column `difficulty`; one that is not a string, a number or None appears as its repr."""
    return {value if isinstance(value, str | int | float | None) else repr(value) for value in rows["difficulty"]}


def normalize_rows(rows: Dataset, indices: Sequence[int], name: str) -> Dataset:
    """These rows of a dataset in our format.

    Columns that ours does not have are dropped: TRL would pass them to the rewards, or mistake them for images or tools.

    Raises:
        ValueError: naming the first row that is not a puzzle.
    """

    def normalize(prompt, solution, i: int) -> dict:
        try:
            return {"prompt": normalize_prompt(prompt), "solution": normalize_solution(solution)}
        except ValueError as error:
            raise ValueError(f"{name}, row {indices[i]}: {error}.") from None

    known = rows.select_columns([column for column in rows.column_names if column in FEATURES])
    features = Features({**known.features, "prompt": FEATURES["prompt"], "solution": FEATURES["solution"]})
    if "difficulty" in features and not difficulties(known) <= {*BANDS}:  # it means something else
        known = known.remove_columns("difficulty")
        del features["difficulty"]
    options = {"with_indices": True, "features": features, "keep_in_memory": True, "load_from_cache_file": False}
    return known.select(indices).map(normalize, input_columns=["prompt", "solution"], desc=name, **options)


def normalize_prompt(prompt: object) -> list[dict[str, str]]:
    """A prompt as messages. A plain text becomes one user message; content in parts becomes the text of all parts.

    Raises:
        ValueError: if it holds anything but text, or does not end with a user message.
    """
    prompt = parse_if_json(prompt, '[{"role":', "[{'role':", '[{"content":', "[{'content':")
    if isinstance(prompt, str):
        prompt = [{"role": "user", "content": prompt}]
    if not isinstance(prompt, list) or not prompt:
        raise ValueError(f"its prompt is {prompt!r:.80}: use a text or a list of messages")
    messages = []
    for message in prompt:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ValueError(f"its prompt holds {message!r:.80}: use messages with a `role` and a `content`")
        content = text_of({"content": message.get("content")}, text_only=True)
        if content is None:
            raise ValueError(f"its {message['role']} message is {message.get('content')!r:.80}: only text can be trained on")
        messages.append({"role": message["role"], "content": content})
    if messages[-1]["role"] != "user" or not messages[-1]["content"].strip():
        raise ValueError(f"its last message is {messages[-1]!s:.80}: it must be a non-empty user message")
    return messages


def normalize_solution(solution: object) -> list[str]:
    """A solution as answers in the order of the questions.

    Raises:
        ValueError: if an answer is missing or is not a text.
    """
    solution = parse_if_json(solution, "[", "{")
    if isinstance(solution, dict):
        solution = by_letter(solution)
    if not isinstance(solution, list) or not solution:
        raise ValueError(f"its solution is {solution!r:.80}: use a list of answers, or a dict from letter to answer")
    if wrong := [answer for answer in solution if not isinstance(answer, str) or not answer.strip()]:
        raise ValueError(f"its solution holds the answer {wrong[0]!r:.80}: use a text")
    return solution


def parse_if_json(value: object, *prefixes: str) -> object:
    """The list or dict that a string holds as JSON (as in CSV files) if it starts with one of these; else the value itself.

    Raises:
        ValueError: if a string with such a start is not JSON.
    """
    if not isinstance(value, str) or not "".join(value[:100].split()).startswith(prefixes):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError(f"a list or dict as text, {value!r:.80}, is not JSON: write it with json.dumps") from None
