"""Publish a dataset that `make dataset` made to the Hugging Face Hub, and write its dataset card.

python -m puzzles.dataset.hub --dry-run                         show what would be uploaded; needs no token
python -m puzzles.dataset.hub name/temporal-clue --private
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import Counter
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from puzzles.dataset.load import check_complete
from puzzles.difficulty import BANDS, band
from puzzles.generator import Case
from puzzles.prompts import prompt
from puzzles.proof import explain, prove
from puzzles.tables import markdown_table

COUNTED = (
    "difficulty",
    "depths",
    "clues",
    "suspects",
    "weapons",
    "rooms",
    "times",
    "motives",
)  # columns whose values the card counts
REPO = "name/temporal-clue"  # stands in the card for the id on the Hub until the dataset is published


# ---------------------------------------------------------------- the card


def card(
    spec: dict,
    counts: dict[str, dict[str, Counter]],
    example: Case,
    files: list[str],
    columns: dict[str, str],
    unproved: int,
) -> str:
    """The dataset card: README.md of the folder and, with the id filled in, of the dataset on the Hub.

    Args:
        spec: what was asked for, as recorded in dataset.json, and the command that makes it.
        counts: how often each value occurs, by split and by column of `COUNTED`.
        example: a small puzzle of the dataset.
        files: the path of each split.
        columns: what each column is.
        unproved: how many puzzles were left out because no proof was found.
    """
    total = sum(some["difficulty"].total() for some in counts.values())
    sizes = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"))
    data_files = "\n".join(f"  - split: {split}\n    path: {file}" for split, file in zip(counts, files, strict=True))
    return f"""---
license: mit
language: en
pretty_name: Temporal Clue
task_categories: [question-answering]
tags: [reasoning, deduction, puzzles, reinforcement-learning, grpo, trl]
size_categories: [{next((name for limit, name in sizes if total < limit), "n>1M")}]
configs:
- config_name: default
  data_files:
{data_files}
---

# Temporal Clue

{total:,} deduction puzzles: one night in Tudor Mansion, who killed Mr. Boddy, with what, where, when and why. The clues of each
puzzle leave {_determined(spec)}, and none of them can be left out; that can be checked from the text alone.

```python
from datasets import load_dataset

puzzles = load_dataset("{REPO}"){_usage(columns)}
```

{_columns(columns)}

## Statistics

{_statistics(counts)}

Difficulty is how deep one has to think for the deepest of a puzzle's questions, not how large it is. **easy**: unit propagation
over rules and clues gives every answer. **medium**: now and then one has to suppose a fact and follow it to a contradiction.
**hard**: suppositions within suppositions. `depths` has a figure for each question: 0 if a single clue gives the answer away, 1
propagation, 2 look-ahead, 3 search.
{_proofs(spec, unproved)}
No two puzzles are the same, even under other names. No two splits share a night (with or without other names), a clue set or
a prompt.{_excluded(spec)}

## A worked example

{_example(example)}

![the night of the example](night.svg)

## Check it, make it again

With the repository that made it (puzzles version {spec["version"]}):

```
python -m puzzles.verify {REPO}      # each prompt is read back, and proved with OR-Tools CP-SAT
{spec["command"]}
```

The second command makes the same bytes; the checksums are in `dataset.json`. Answers are graded by the same repository:

```python
from rewards.accuracy import accuracy

row = puzzles["test"][0]
accuracy([completion], [row["solution"]], [row["prompt"]])  # [the fraction of questions answered correctly]
```

## Licence and citation

MIT licence. The puzzle and its published form are the work of Brad Hilton and Kyle Corbitt (*Temporal Clue*, 2025).

```bibtex
@misc{{temporal_clue_grpo,
  title = {{Temporal Clue GRPO}},
  author = {{the Temporal Clue GRPO authors}},
  year = {{2026}},
}}
```
"""


def _determined(spec: dict) -> str:
    if spec["how"]["determine"] == "world":
        return "exactly one night possible"
    return "exactly one answer sheet possible (several nights may fit them)"


def _usage(columns: dict[str, str]) -> str:
    if "difficulty" not in columns:
        return ""
    return """  # `prompt` is a chat, ready for TRL; `solution` is the answer sheet
hard = puzzles["train"].filter(lambda row: row["difficulty"] == "hard")"""


def _columns(columns: dict[str, str]) -> str:
    table = markdown_table(("column", ""), ((f"`{name}`", meaning) for name, meaning in columns.items()))
    if "seed" in columns:
        table += "\n\nA row is a function of its own columns: `puzzles.dataset.regenerate(row)` makes it again."
    return table


def _proofs(spec: dict, unproved: int) -> str:
    if "proofs" not in spec:
        return ""
    left_out = f" {unproved:,} puzzles were left out, as no proof was found within a fixed effort." if unproved else ""
    return f"""
`proof` shows why the answers are right, one numbered step per line, as short as could be found: each step rests on clues,
numbered in the order of the prompt, and on earlier steps, none of which can be left out. CP-SAT has checked every
step.{left_out}
"""


def _excluded(spec: dict) -> str:
    return " Puzzles of other files were kept out as well (`--exclude`)." if spec["excluded"] else ""


def _statistics(counts: dict[str, dict[str, Counter]]) -> str:
    rows = []
    for split, of in counts.items():
        bands, depths = of["difficulty"], of["depths"]
        shares = " / ".join(f"{depths[d] / depths.total():.0%}" for d in range(4))
        numbers = [f"{bands[name]:,}" for name in BANDS]
        clues = f"{statistics.median(of['clues'].elements()):.0f}, {max(of['clues'])}"
        rows.append([split, f"{bands.total():,}", *numbers, f"{depths.total():,}", shares, clues])
    header = ("split", "puzzles", *BANDS, "questions", "depth 0 / 1 / 2 / 3", "clues (median, most)")
    sizes = []
    for column in ("suspects", "weapons", "rooms", "times", "motives"):
        values = sum((of[column] for of in counts.values()), Counter())
        sizes.append((column, min(values), f"{statistics.median(values.elements()):.0f}", max(values)))
    return f"{markdown_table(header, rows)}\n\n{markdown_table(('of a puzzle', 'least', 'median', 'most'), sizes)}"


def _example(case: Case) -> str:
    proof = explain(case.puzzle, prove(case.puzzle, case.night))
    answers = "\n".join(f"{letter}. {answer}" for letter, answer in case.solution.items())
    return f"""```
{prompt(case.puzzle, "compact")}
```

It is {band(case.depths)}. Why the answers are right, with the clues numbered in the order above:

{proof}

```
{answers}
```"""


# ---------------------------------------------------------------- publishing


def content(folder: Path, repo: str) -> dict[str, bytes | Path]:
    """What is published of a dataset folder, path on the Hub → bytes or file; the card has the repository's id filled in.

    Raises:
        ValueError: if the dataset is incomplete or was changed.
    """
    files = {name: folder / name for name in [*check_complete(folder)["sha256"], "dataset.json"]}
    text = (folder / "README.md").read_text(encoding="utf-8").replace(REPO, repo)
    return {**files, "README.md": text.encode()}


def whoami(api: HfApi) -> dict:
    """Who is logged in, as the Hub describes them.

    Raises:
        ValueError: no token, a wrong one, or no network.
    """
    if not get_token():
        raise ValueError("there is no token: log in with `hf auth login`, or set HF_TOKEN to a token that may write.")
    try:
        return api.whoami()
    except HfHubHTTPError as error:
        raise ValueError(f"the Hub does not accept the token ({error.response.status_code}): log in again.") from None
    except Exception as error:  # of whichever HTTP library the Hub's client uses
        raise ValueError(f"the Hub at {api.endpoint} cannot be reached ({error}): check the network.") from None


def check_repo(api: HfApi, repo: str, replace: bool, kind: str = "dataset") -> set[str]:
    """Check before any work that the upload can succeed. Returns the files that the repository holds.

    Raises:
        ValueError: see `whoami`; or no right to that owner's name, or a repository that exists already.
    """
    me = whoami(api)
    owner = repo.split("/")[0]
    names = [me["name"], *(org["name"] for org in me.get("orgs", []))]
    if owner not in names:
        raise ValueError(f"the token may not write for {owner!r}, only for {', '.join(names)}: change the REPO or the token.")
    role = me.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise ValueError("the token may only read: create one that may write, on the Hub under Settings, Access Tokens.")
    try:
        there = {*api.list_repo_files(repo, repo_type=kind)} - {".gitattributes"}
    except RepositoryNotFoundError:
        return set()
    if there and not replace:
        raise ValueError(f"the {kind} {repo} exists already ({len(there)} files): choose another name, or --replace.")
    return there


def check_id(repo: str, kind: str) -> None:
    """Check that this is the id of a repository on the Hub.

    Raises:
        ValueError: if it is not (HFValidationError is one).
    """
    validate_repo_id(repo)
    if repo.count("/") != 1:
        raise ValueError(f"{repo!r} is not an id on the Hub: write it as name/{kind}.")


def print_files(files: dict[str, bytes | Path], where: str) -> None:
    """Print what is published, with its size, under a line that says where to."""
    print(f"{where}:")
    for path, data in files.items():
        print(f"  {path:28} {len(data) if isinstance(data, bytes) else data.stat().st_size:14,} bytes")


def publish(files: dict[str, bytes | Path], repo: str, kind: str, private: bool, replace: bool, message: str) -> str:
    """Upload files in one commit, so that the Hub has all of them or nothing. Returns the repository's URL.

    Args:
        files: path on the Hub → bytes or file.
        kind: "dataset" or "model".

    Raises:
        ValueError: see `check_repo`.
    """
    api = HfApi()
    there = check_repo(api, repo, replace, kind)
    url = api.create_repo(repo, repo_type=kind, private=private, exist_ok=True)
    operations = [CommitOperationAdd(path_in_repo=path, path_or_fileobj=data) for path, data in files.items()]
    operations += [CommitOperationDelete(path_in_repo=path) for path in sorted(there - files.keys())]
    api.create_commit(repo, operations, commit_message=message, repo_type=kind)
    return str(url)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m puzzles.dataset.hub", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repo", nargs="?", help="id on the Hub (default: temporal-clue, of the user who is logged in)")
    parser.add_argument("--folder", type=Path, default=Path("outputs/temporal-clue"), help="the dataset (default %(default)s)")
    parser.add_argument("--private", action="store_true", help="only you can see it")
    parser.add_argument("--replace", action="store_true", help="replace what the repository holds")
    parser.add_argument("--dry-run", action="store_true", help="show what would be uploaded, and upload nothing")
    args = parser.parse_args()
    try:
        repo = args.repo or (REPO if args.dry_run else f"{whoami(HfApi())['name']}/temporal-clue")
        check_id(repo, "dataset")
        files = content(args.folder, repo)
        would = "Would upload" if args.dry_run else "Uploading"
        print_files(files, f"{would} to {HfApi().endpoint}/datasets/{repo} ({'private' if args.private else 'public'})")
        if args.dry_run:
            print(f"\nThe card:\n\n{files['README.md'].decode()}")
        else:
            print(f"Published: {publish(files, repo, 'dataset', args.private, args.replace, 'Temporal Clue puzzles')}")
    except (OSError, ValueError, HFValidationError, HfHubHTTPError) as error:
        sys.exit(f"python -m puzzles.dataset.hub: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command uploads what is missing.")


if __name__ == "__main__":
    main()
