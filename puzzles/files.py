"""Files that are complete or not there at all, even if writing them is interrupted; and a lock on a folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from pathlib import Path

import yaml


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def write_json(path: Path, content: dict) -> None:
    write_text(path, json.dumps(content, indent=2, default=str) + "\n")


def read_json(path: Path) -> dict:
    """A JSON object. Raises ValueError if the file is not JSON, or holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {content!r:.80} instead of a JSON object.")
    return content


class _Loader(yaml.SafeLoader):
    """Notes the keys that a mapping has twice, of which YAML takes the last."""

    def __init__(self, text: str):
        super().__init__(text)
        self.repeated: list[str] = []

    def construct_mapping(self, node, deep=False):
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        self.repeated += [name for name, times in names.items() if times > 1]
        return super().construct_mapping(node, deep)


def read_yaml(file: Path) -> dict:
    """The options in a YAML file.

    Raises:
        ValueError: if it cannot be read, or holds anything but options, naming the file and the fix.
    """
    example = "one `name: value` a line"
    try:
        loader = _Loader(file.read_text(encoding="utf-8"))
        options = loader.get_single_data()
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}. Give a YAML file that can be read.") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 text (byte {error.start}): save it as UTF-8, with {example}.") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"{file} is not YAML ({' '.join(str(error).split())}): write {example}.") from None
    if loader.repeated:
        raise ValueError(f"{file} gives {', '.join(loader.repeated)} twice: leave one out.")
    if not isinstance(options, dict):
        kind = {list: "a list", str: "a text", type(None): "nothing"}.get(type(options), f"{options!r:.80}")
        raise ValueError(f"{file} holds {kind}, not options: write {example}.")
    return options


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock_folder(folder: Path) -> int:
    """Lock a folder against all other processes until this one ends, however it ends, or closes the returned file.

    On Windows, and on a network disk that has no locks, nothing is locked: see to it that one process works in the folder.

    Raises:
        ValueError: if another process has locked it.
    """
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
    try:
        import fcntl
    except ImportError:  # Windows
        return lock
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(lock, 100).decode() or "unknown"
        os.close(lock)
        raise ValueError(
            f"{folder} is in use by process {pid}: wait for it, or end it (a killed launcher may leave its workers running)."
        ) from None
    except OSError:  # a network disk without locks
        return lock
    os.truncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return lock
