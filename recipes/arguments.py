"""Arguments of the recipes: YAML and command line, through TRL's parser."""

from __future__ import annotations

import difflib
import sys
from argparse import RawDescriptionHelpFormatter
from pathlib import Path

import yaml
from trl import TrlParser


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
        if "--config" in sys.argv[:-1]:  # name unknown keys before anything is made of the known ones
            recipe = Path(sys.argv[sys.argv.index("--config") + 1])
            known = [action.dest for action in parser._actions] + ["env"]
            for key in yaml.safe_load(recipe.read_text()) or {}:
                if key not in known:
                    close = difflib.get_close_matches(str(key), known, 1)
                    raise ValueError(
                        f"{recipe} has the unknown key {key!r}." + (f" Did you mean {close[0]!r}?" if close else "")
                    )
        return parser.parse_args_and_config()
    except (ValueError, OSError, yaml.YAMLError) as error:
        parser.error(str(error))
