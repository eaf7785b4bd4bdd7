"""Publish a dataset that `make dataset` wrote to the Hugging Face Hub.

python -m puzzles.push --dry-run                         shows what would be uploaded; needs no token
python -m puzzles.push name/temporal-clue --private
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from puzzles.card import REPO
from puzzles.dataset import check_whole


def content(folder: Path, repo: str) -> dict[str, bytes | Path]:
    """What is published of a dataset's folder: path on the Hub → bytes or file. The card gets the repository's name.

    Raises:
        ValueError: if the dataset is not whole.
    """
    files = {name: folder / name for name in [*check_whole(folder)["sha256"], "dataset.json"]}
    text = (folder / "README.md").read_text(encoding="utf-8").replace(REPO, repo)
    return {**files, "README.md": text.encode()}


def check_repo(api: HfApi, repo: str, replace: bool) -> set[str]:
    """Find out before any work whether the upload can succeed. Returns the files that the repository holds.

    Raises:
        ValueError: no token, a wrong one, no network, no right to the name, or a repository that is there already.
    """
    if not get_token():
        raise ValueError("there is no token: log in with `hf auth login`, or set HF_TOKEN to one with the right to write.")
    try:
        me = api.whoami()
    except HfHubHTTPError as error:
        raise ValueError(f"the Hub does not accept the token ({error.response.status_code}): log in anew.") from None
    except Exception as error:  # of the HTTP library, whichever the Hub's client uses
        raise ValueError(f"the Hub at {api.endpoint} cannot be reached ({error}): is there a network?") from None
    owner = repo.split("/")[0]
    names = [me["name"], *(org["name"] for org in me.get("orgs", []))]
    if owner not in names:
        raise ValueError(f"the token may not write for {owner!r}, only for {', '.join(names)}: change the REPO or the token.")
    role = me.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise ValueError("the token may only read: make one that may write, at the Hub under Settings, Access Tokens.")
    try:
        there = {*api.list_repo_files(repo, repo_type="dataset")} - {".gitattributes"}
    except RepositoryNotFoundError:
        return set()
    if there and not replace:
        raise ValueError(f"the dataset {repo} exists already ({len(there)} files): choose another name, or REPLACE=1.")
    return there


def push(folder: Path, repo: str, private: bool, replace: bool) -> str:
    """Upload a dataset, in one commit: nothing or all of it is there. Returns its address."""
    api = HfApi()
    files = content(folder, repo)
    there = check_repo(api, repo, replace)
    url = api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
    operations = [CommitOperationAdd(path_in_repo=path, path_or_fileobj=data) for path, data in files.items()]
    operations += [CommitOperationDelete(path_in_repo=path) for path in sorted(there - files.keys())]
    api.create_commit(repo, operations, commit_message="Temporal Clue puzzles", repo_type="dataset")
    return str(url)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m puzzles.push", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repo", nargs="?", help="its id on the Hub: name/dataset")
    parser.add_argument("--folder", type=Path, default=Path("outputs/temporal-clue"), help="the dataset (default %(default)s)")
    parser.add_argument("--private", action="store_true", help="only you can see it")
    parser.add_argument("--replace", action="store_true", help="put it in the place of what the repository holds")
    parser.add_argument("--dry-run", action="store_true", help="show what would be uploaded, and upload nothing")
    args = parser.parse_args()
    try:
        if args.repo is None and not args.dry_run:
            raise ValueError(f"where to? Name the repository: {REPO}, or `make push-dataset REPO={REPO}`.")
        repo = args.repo or REPO
        validate_repo_id(repo)
        if repo.count("/") != 1:
            raise ValueError(f"{repo!r} is no id on the Hub: write it as name/dataset.")
        if args.dry_run:
            print(f"Would upload to {HfApi().endpoint}/datasets/{repo} ({'private' if args.private else 'public'}):")
            files = content(args.folder, repo)
            for path, data in files.items():
                print(f"  {path:28} {len(data) if isinstance(data, bytes) else data.stat().st_size:12,} bytes")
            print(f"\nThe card:\n\n{files['README.md'].decode()}")
        else:
            print(f"Published: {push(args.folder, repo, args.private, args.replace)}")
    except (ValueError, HFValidationError, HfHubHTTPError) as error:
        sys.exit(f"python -m puzzles.push: {error}")
    except OSError as error:
        sys.exit(f"python -m puzzles.push: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command uploads what is missing.")


if __name__ == "__main__":
    main()
