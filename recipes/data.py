"""The puzzles of a run: from a dataset, or generated on the spot. Whatever a dataset looks like, its rows become like ours:
prompts are lists of messages, each a text, and solutions lists of answers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from datasets import ClassLabel, Dataset, Features, concatenate_datasets, load_dataset, load_dataset_builder
from datasets.exceptions import DatasetsError

from puzzles.dataset import FEATURES, HELD_OUT, build, load_splits
from puzzles.difficulty import BANDS
from puzzles.scenario import Size
from recipes.arguments import PuzzleArguments

FRESH = 10_000  # fresh puzzles start so many after the held-out ones of a run
PATIENCE = 20  # puzzles generated for each one of the wanted bands, after which the search is given up


def to_be_made(args: PuzzleArguments) -> bool:
    """Whether the dataset is a folder of this repository that nobody has made yet, and not one of the Hub."""
    return bool(args.dataset) and args.dataset.startswith("outputs/") and not Path(args.dataset).exists()


def generated(args: PuzzleArguments) -> dict:
    """The keyword arguments of `build` for puzzles that are generated on the spot."""
    how = {"size": Size(**args.given()) if args.given() else None, "players": tuple(args.players)}
    return how | {"directness": args.directness, "wording": args.wording}


def fresh(args: PuzzleArguments, seed: int, count: int) -> Dataset:
    """Generated puzzles that no run of this seed trains on, or is watched on while it trains."""
    return build(seed, HELD_OUT + FRESH, count, **generated(args))


def decoded(value: object, *openings: str) -> object:
    """A list or dict that a table of texts (CSV) holds as JSON, as what it is; anything else as it stands.

    Raises:
        ValueError: if a text opens like one, and is no JSON.
    """
    if not isinstance(value, str) or not "".join(value[:100].split()).startswith(openings):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError(f"a list or dict as text, {value!r:.80}, is no JSON: write it with json.dumps") from None


def as_messages(prompt: object) -> list[dict[str, str]]:
    """A prompt as messages: text is the user's one message, and a content in parts is the text of all of them.

    Raises:
        ValueError: if it holds anything but text, or does not end with what the user says.
    """
    prompt = decoded(prompt, '[{"role":', "[{'role':", '[{"content":', "[{'content':")
    if isinstance(prompt, str):
        prompt = [{"role": "user", "content": prompt}]
    if not isinstance(prompt, list) or not prompt:
        raise ValueError(f"its prompt is {prompt!r:.80}: give a text or a list of messages")
    messages = []
    for message in prompt:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ValueError(f"its prompt holds {message!r:.80}: give messages with a `role` and a `content`")
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        for part in parts:
            if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
                raise ValueError(f"its {message['role']} message holds {part!r:.80}: only text can be trained on")
        messages.append({"role": message["role"], "content": "".join(part["text"] for part in parts)})
    if messages[-1]["role"] != "user" or not messages[-1]["content"].strip():
        raise ValueError(f"its last message is {messages[-1]!s:.80}: it must be the user's, and not empty")
    return messages


def as_answers(solution: object) -> list[str]:
    """A solution as the answers in the order of the questions; Arrow fills the letters that a puzzle does not have with None.

    Raises:
        ValueError: if an answer is missing, or is no text.
    """
    solution = decoded(solution, "[", "{")
    if isinstance(solution, dict):
        letters = sorted(letter for letter, answer in solution.items() if answer is not None)
        if letters != [chr(65 + i) for i in range(len(letters))]:
            raise ValueError(f"its solution has the letters {', '.join(letters)}: give each from A on, without a gap")
        solution = [solution[letter] for letter in letters]
    if not isinstance(solution, list) or not solution:
        raise ValueError(f"its solution is {solution!r:.80}: give a list of answers, or a dict from letter to answer")
    if wrong := [answer for answer in solution if not isinstance(answer, str) or not answer.strip()]:
        raise ValueError(f"its solution holds the answer {wrong[0]!r:.80}: give a text")
    return solution


def bands_in(rows: Dataset) -> set:
    """The values of a dataset's difficulty; one that is no text, number or None by its looks."""
    return {value if isinstance(value, str | int | float | None) else repr(value) for value in rows["difficulty"]}


def like_ours(rows: Dataset, indices: Sequence[int], name: str) -> Dataset:
    """These rows of a dataset, in the form of ours.

    Columns that ours do not have are left out: TRL would pass them to the rewards, or take them for images or tools.

    Raises:
        ValueError: naming the first row that is no puzzle.
    """

    def row(prompt, solution, i: int) -> dict:
        try:
            return {"prompt": as_messages(prompt), "solution": as_answers(solution)}
        except ValueError as error:
            raise ValueError(f"{name}, row {indices[i]}: {error}.") from None

    known = rows.select_columns([column for column in rows.column_names if column in FEATURES])
    features = Features({**known.features, "prompt": FEATURES["prompt"], "solution": FEATURES["solution"]})
    if "difficulty" in features and not bands_in(known) <= {*BANDS}:  # of another kind
        known = known.remove_columns("difficulty")
        del features["difficulty"]
    how = {"with_indices": True, "features": features, "keep_in_memory": True, "load_from_cache_file": False}
    return known.select(indices).map(row, input_columns=["prompt", "solution"], desc=name, **how)


def splits_of(source: str) -> dict[str, Dataset]:
    """The splits of a dataset. Of others' files each has columns of its own: `load_dataset` wants the first one's for all."""
    if (Path(source) / "dataset.json").exists():
        return load_splits(source)
    builder = load_dataset_builder(source)
    if not (files := builder.config.data_files):
        return load_splits(source)
    return {str(split): load_dataset(builder.name, data_files={split: files[split]}, split=split) for split in files}


def loaded(args: PuzzleArguments) -> tuple[Dataset, Dataset]:
    """The puzzles to train on and the held-out ones of `args.dataset`; see `puzzles`."""
    if Path(args.dataset).is_file():
        raise ValueError(
            f"dataset {args.dataset!r} is one file: put it into a folder as train{Path(args.dataset).suffix}, held-out "
            f"puzzles beside it as validation{Path(args.dataset).suffix}, and name the folder."
        )
    try:
        splits = splits_of(args.dataset)
    except (DatasetsError, OSError, ValueError) as error:  # pyarrow's are ValueErrors
        raise ValueError(f"dataset {args.dataset!r} cannot be read: {error.__cause__ or error}") from error
    needed = {"prompt", "solution"} | ({"difficulty"} if args.difficulty or args.curriculum else set())
    chosen = []
    for split, count in (("train", args.num_train_puzzles), ("validation", args.num_eval_puzzles)):
        name = f"dataset {args.dataset!r}, split {split!r}"
        if split not in splits:
            raise ValueError(
                f"dataset {args.dataset!r} has no split {split!r}, only {', '.join(splits)}: name a part of its rows so "
                f"(a file or folder {split}), which no other split holds."
            )
        rows = splits[split]
        if missing := needed - set(rows.column_names):
            raise ValueError(
                f"{name}, lacks the column(s) {', '.join(sorted(missing))}, and has {', '.join(rows.column_names)}: "
                "rename them."
            )
        if isinstance(kind := rows.features.get("difficulty"), ClassLabel):
            names = [kind.int2str(i) if i is not None else None for i in rows["difficulty"]]
            rows = rows.remove_columns("difficulty").add_column("difficulty", names)
        if args.curriculum and (unknown := bands_in(rows) - {*BANDS}):
            raise ValueError(f"{name}, has the difficulty {unknown.pop()!r}: curriculum needs {', '.join(BANDS)}.")
        indices, bands = [*range(len(rows))], ""
        if args.difficulty and split == "train":
            indices = [i for i, band in enumerate(rows["difficulty"]) if band in args.difficulty]
            bands = f" of difficulty {', '.join(args.difficulty)}"
            if not indices:
                found = ", ".join(sorted(map(str, bands_in(rows)))[:5])
                raise ValueError(f"{name}, has no row{bands}, only {found or 'none at all'}.")
        count = count or len(indices) or 1
        if count > len(indices):
            raise ValueError(f"{name}, has {len(indices)} rows{bands}, not {count}.")
        chosen.append(like_ours(rows, indices[:count], name))
        if rows[indices[0]]["prompt"] == chosen[-1][0]["prompt"][0]["content"] and os.environ.get("RANK", "0") == "0":
            print(f"{name}: its prompts are text, and go to the model as the user's message, in its chat template.")
    trained_on = {prompt[-1]["content"] for prompt in chosen[0]["prompt"]}
    shared = sum(prompt[-1]["content"] in trained_on for prompt in chosen[1]["prompt"])
    if shared and os.environ.get("RANK", "0") == "0":
        print(
            f"dataset {args.dataset!r}: {shared} of the {len(chosen[1])} held-out puzzles are also trained on, so the held-out "
            "scores are too good: take them out of the split 'train'."
        )
    return tuple(chosen)


def puzzles(args: PuzzleArguments, seed: int) -> tuple[Dataset, Dataset]:
    """The puzzles to train on and the held-out ones.

    Raises:
        ValueError: if the dataset cannot be read, lacks a split, a column or enough rows, or has a row that is no puzzle; or if
            a size, band or curriculum is impossible.
    """
    if unknown := set(args.difficulty or []) - set(BANDS):
        raise ValueError(f"difficulty={unknown.pop()!r} is unknown: choose among {', '.join(BANDS)}.")
    if args.curriculum not in (None, "depth", "pass_rate"):
        raise ValueError(f"curriculum={args.curriculum!r} is unknown: choose 'depth' or 'pass_rate', or leave it out.")
    for name in ("num_train_puzzles", "num_eval_puzzles"):
        if (count := getattr(args, name)) is not None and count < 1:
            raise ValueError(f"{name}={count} is too few: 1 or more.")
    if to_be_made(args):
        raise ValueError(f"there is no dataset {args.dataset} yet: make it with `make dataset`.")
    if args.dataset:
        return loaded(args)
    how = generated(args)
    held_out = build(seed, HELD_OUT, args.num_eval_puzzles, **how)
    wanted = args.num_train_puzzles or 1024
    train = build(seed, 0, wanted, **how)
    if args.difficulty:
        found = []
        for first in range(0, PATIENCE * wanted, wanted):
            rows = train if first == 0 else build(seed, first, wanted, **how)
            found.append(rows.select([i for i, band in enumerate(rows["difficulty"]) if band in args.difficulty]))
            if sum(map(len, found)) >= wanted:
                break
        train = concatenate_datasets(found)
        if len(train) < wanted:
            raise ValueError(
                f"only {len(train)} of {PATIENCE * wanted} generated puzzles are {' or '.join(args.difficulty)}, not {wanted}: "
                "ask for fewer, or another size, or make a dataset first (make dataset ARGS='--mix …')."
            )
        train = train.take(wanted)
    return train, held_out
