"""Publish a dataset that `make dataset` made on the Hugging Face Hub, also by band and in the layouts of others.

python -m puzzles.dataset.hub --dry-run                         show what would be uploaded; needs no token
python -m puzzles.dataset.hub name/temporal-clue --private
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from string import ascii_uppercase
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, DatasetCard, HfApi, RepoUrl, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from puzzles.dataset.card import REPO
from puzzles.dataset.folder import published_row
from puzzles.dataset.load import SPLITS, check_complete
from puzzles.difficulty import BANDS

ROWS = 100_000  # in a file on the Hub, so that it has less than 500 MB


# ---------------------------------------------------------------- what is published


def content(folder: Path, repo: str, scratch: Path) -> dict[str, bytes | Path]:
    """What is published of a dataset folder, path on the Hub → bytes or file; the card has the repository's id filled in.

    Args:
        scratch: an empty folder, for the files that only the Hub has.

    Raises:
        ValueError: if the dataset is incomplete or was changed.
    """
    record = check_complete(folder)
    card = DatasetCard((folder / "README.md").read_text(encoding="utf-8").replace(REPO, repo))
    files = {name: folder / name for name in [*record["sha256"], "dataset.json"]}
    if record.get("format") != "published":
        write_configs(folder, scratch)
        made = {str(path.relative_to(scratch)): path for path in sorted(scratch.glob("*/*"))}
        files = made | {name: path for name, path in files.items() if name in made or not name.endswith(".parquet")}
        card.data.configs = configs_of(made)
    return {**files, "README.md": str(card).encode()}


def write_configs(folder: Path, scratch: Path) -> None:
    """Write the puzzles of each split in a folder for each layout, a file for every `ROWS` rows: data, those of `BANDS` that
    have any, published, verl."""
    files = {split: folder / "data" / f"{split}.parquet" for split in SPLITS}
    sheets = [pq.read_table(file, columns=["solution"])["solution"] for file in files.values()]
    letters = ascii_uppercase[: max(pc.max(pc.list_value_length(sheet)).as_py() for sheet in sheets)]
    solution = pa.struct([(letter, pa.string()) for letter in letters])
    published = pa.schema([("num_clues", pa.int64()), ("prompt", pa.string()), ("solution", solution)])
    for split, path in files.items():
        with pq.ParquetFile(path) as file:
            several = file.metadata.num_rows > ROWS
            for i, batch in enumerate(file.iter_batches(ROWS)):
                table, rows = pa.Table.from_batches([batch]), batch.to_pylist()
                layouts = {"data": table}
                layouts |= {band: table.filter(pc.equal(table["difficulty"], band)) for band in BANDS}
                layouts["published"] = pa.Table.from_pylist([published_row(row) for row in rows], published)
                layouts["verl"] = pa.Table.from_pylist([verl_row(row, split) for row in rows])
                for name, part in layouts.items():
                    (scratch / name).mkdir(exist_ok=True)
                    if len(part):
                        file_name = f"{split}-{i:03}.parquet" if several else f"{split}.parquet"
                        pq.write_table(part, scratch / name / file_name, row_group_size=1_000)


def configs_of(paths: Iterable[str]) -> list[dict]:
    """The configs in the head of the card: the splits of each and their files."""
    configs = []
    for layout in ("data", *BANDS, "published", "verl"):
        files = {split: [path for path in paths if path.startswith(f"{layout}/{split}")] for split in SPLITS}
        data_files = [{"split": split, "path": there} for split, there in files.items() if there]
        if data_files:
            configs.append({"config_name": "default" if layout == "data" else layout, "data_files": data_files})
    return configs


def verl_row(row: dict, split: str) -> dict:
    """A row in the columns that verl's trainers read; `extra_info` has what the grader needs."""
    return {
        "data_source": "temporal-clue",
        "prompt": row["prompt"],
        "ability": "deduction",
        "reward_model": {"style": "rule", "ground_truth": row["solution"]},
        "extra_info": {
            "split": split,
            "index": row["index"],
            "id": row["id"],
            "difficulty": row["difficulty"],
            "question": row["prompt"][0]["content"],
        },
    }


# ---------------------------------------------------------------- publishing


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
        ValueError: see `check_repo` and `create_repo`; or the connection breaks.
    """
    api = HfApi()
    try:
        there = check_repo(api, repo, replace, kind)
        url = create_repo(api, repo, kind, private)
        operations = [CommitOperationAdd(path_in_repo=path, path_or_fileobj=data) for path, data in files.items()]
        operations += [CommitOperationDelete(path_in_repo=path) for path in sorted(there - files.keys())]
        api.create_commit(repo, operations, commit_message=message, repo_type=kind)
    except (OSError, ValueError, HfHubHTTPError):
        raise
    except Exception as error:  # of whichever HTTP library the Hub's client uses
        raise ValueError(f"the connection to {api.endpoint} broke ({error}): the same command tries again.") from error
    return str(url)


def create_repo(api: HfApi, repo: str, kind: str, private: bool | None) -> RepoUrl:
    """Create a repository on the Hub if it does not exist.

    Raises:
        ValueError: if it exists and is public, though a private one is asked for.
    """
    url = api.create_repo(repo, repo_type=kind, private=private, exist_ok=True)
    if private and not api.repo_info(url.repo_id, repo_type=kind).private:
        raise ValueError(f"the {kind} {url.repo_id} exists and is public: make it private in its settings on the Hub first.")
    return url


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
        with TemporaryDirectory() as scratch:
            files = content(args.folder, repo, Path(scratch))
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
