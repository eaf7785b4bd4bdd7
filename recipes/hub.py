"""The trained model on the Hugging Face Hub: access is checked before training, and the model uploaded once, after it."""

from __future__ import annotations

import shutil
from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError
from transformers import Trainer, TrainingArguments

from puzzles.dataset.hub import create_repo

NOT_UPLOADED = ["training_args.bin"]  # a pickle with this machine's paths and the Hub token


def hub_problems(args: TrainingArguments) -> list[str]:
    """Why --push_to_hub can't work, as far as it is known without asking the Hub."""
    if not args.push_to_hub:
        return []
    if args.hub_strategy in ("checkpoint", "all_checkpoints"):
        return [f"hub_strategy: {args.hub_strategy.value} is not supported: the model is uploaded once, at the end."]
    if args.process_index == 0 and not (args.hub_token or get_token()):  # the only one that uploads
        return ["push_to_hub: there is no token: log in with `hf auth login`, or set HF_TOKEN to one with write access."]
    return []


def create_repository(args: TrainingArguments) -> str | None:
    """Create the repository for --push_to_hub if it does not exist. Returns its id, or None without --push_to_hub.

    Raises:
        ValueError: if the token is wrong, or the Hub cannot be reached or refuses the name.
    """
    if not args.push_to_hub:
        return None
    api, name = HfApi(token=args.hub_token), args.hub_model_id or Path(args.output_dir).absolute().name
    try:
        made = create_repo(api, name, "model", args.hub_private_repo)
        if args.hub_revision:  # the Hub does not create branches automatically
            api.create_branch(made.repo_id, branch=args.hub_revision, exist_ok=True)
    except ValueError as error:
        raise ValueError(f"hub_model_id {name!r}: {error}") from None
    except HfHubHTTPError as error:
        raise ValueError(f"push_to_hub: the Hub refuses {name!r} ({str(error).splitlines()[0]}).") from None
    except Exception as error:  # from whichever HTTP library the Hub's client uses
        raise ValueError(f"push_to_hub: the Hub at {api.endpoint} cannot be reached ({error}).") from None
    return made.repo_id


def upload_command(repo: str, folder: Path, revision: str | None) -> str:
    """The command that uploads a saved model."""
    return f"hf upload {repo} {folder} --exclude {' '.join(NOT_UPLOADED)}" + (f" --revision {revision}" if revision else "")


def upload(trainer: Trainer, folder: Path, repo: str) -> None:
    """Upload a saved model to the Hub: the files of this folder and a model card written by TRL.

    Raises:
        SystemExit: if the upload fails; the model stays on disk, and the message says how to try again.
    """
    args, trainer.hub_model_id = trainer.args, repo
    trainer.create_model_card(model_name=repo.split("/")[-1])
    shutil.copy(Path(args.output_dir) / "README.md", folder)
    try:
        url = HfApi(token=args.hub_token).upload_folder(
            repo_id=repo, folder_path=folder, ignore_patterns=NOT_UPLOADED, revision=args.hub_revision,
            commit_message=f"Trained for {trainer.state.global_step} steps",
        )  # fmt: skip
    except Exception as error:
        command = upload_command(repo, folder, args.hub_revision)
        raise SystemExit(f"The model is in {folder}, but not on the Hub ({error}). To try again: {command}") from error
    print(f"uploaded: {url}")
