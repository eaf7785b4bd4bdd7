"""Draw docs/architecture.svg: which folder imports which, read from the code itself.

  python docs/architecture.py

The same imports give the same bytes, and tests/test_docs.py fails while the picture is out of date. An import
against the order recipes → rewards → puzzles is drawn in red.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
FOLDERS = {  # in the order in which they build on each other
    "puzzles": "what is true",
    "puzzles/viewer": "pictures",
    "puzzles/dataset": "rows and splits",
    "rewards": "what is good",
    "rewards/deductions": "what is proved",
    "recipes": "how it learns",
    "recipes/planner": "what it takes",
    "recipes/evaluation": "how good it is",
    "recipes/tiny": "all of it on a CPU",
    "recipes/smollm2": "all of it on a real model",
}
LAYERS = ("puzzles", "rewards", "recipes")
BLUE, RED = "#34495e", "#c0392b"


def folder_of(module: str, root: Path = ROOT) -> str | None:
    """The folder of the picture that a dotted module name belongs to."""
    parts = module.split(".")
    for end in range(len(parts), 0, -1):
        if (folder := "/".join(parts[:end])) in FOLDERS and (root / folder).is_dir():
            return folder
    return None


def imports_of(file: Path) -> set[str]:
    """Every module that a file imports, wherever in the file it does so."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def imports(root: Path = ROOT) -> Counter[tuple[str, str]]:
    """How many files of one folder import from another: {(importer, imported): files}."""
    edges: Counter[tuple[str, str]] = Counter()
    for folder in FOLDERS:
        for file in sorted((root / folder).glob("*.py")):
            modules = imports_of(file)
            found = {folder_of(module, root) for module in modules}
            edges.update((folder, other) for other in found - {None, folder})
    return edges


def is_upward(importer: str, imported: str) -> bool:
    """Whether an import goes against the order recipes → rewards → puzzles."""
    return LAYERS.index(importer.split("/")[0]) < LAYERS.index(imported.split("/")[0])


def draw(edges: Counter[tuple[str, str]], file: Path) -> None:
    """The three layers with the imports between them, and below, each folder's imports as a table."""
    plt.rcParams.update({"svg.hashsalt": "temporal-clue", "font.size": 10})
    figure, (above, below) = plt.subplots(2, 1, figsize=(9, 7), height_ratios=[2, 3])
    draw_layers(edges, above)
    draw_table(edges, below)
    figure.tight_layout(pad=0.6)
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)


def draw_layers(edges: Counter[tuple[str, str]], axes) -> None:
    width, pitch = 2.5, 3.2
    for i, layer in enumerate(LAYERS):
        axes.add_patch(plt.Rectangle((pitch * i, 0), width, 1.2, facecolor="#eef3f8", edgecolor=BLUE))
        middle = pitch * i + width / 2
        axes.text(middle, 1.0, f"{layer}/  {FOLDERS[layer]}", ha="center", va="center", fontweight="bold")
        within = [name for name in FOLDERS if name.startswith(f"{layer}/")]
        for j, name in enumerate(within):
            axes.text(middle, 0.65 - 0.3 * j, f"{name.split('/')[1]}/  {FOLDERS[name]}", ha="center", va="center", fontsize=9)
    between = {(importer.split("/")[0], imported.split("/")[0]) for importer, imported in edges}
    for importer, imported in sorted(between):
        start, end = LAYERS.index(importer), LAYERS.index(imported)
        if start == end:
            continue
        neighbours, leftward = abs(start - end) == 1, start > end
        sides = (0, width) if leftward else (width, 0)
        tail, head = ((pitch * start + sides[0], 0.6), (pitch * end + sides[1], 0.6))
        if not neighbours:
            tail, head = ((pitch * i + width / 2, 0) for i in (start, end))
        colour = RED if is_upward(importer, imported) else BLUE
        style = {"arrowstyle": "-|>", "color": colour, "connectionstyle": f"arc3,rad={0 if neighbours else -0.15}"}
        axes.annotate("", head, tail, arrowprops=style)
    axes.set(xlim=(-0.1, 2 * pitch + width + 0.1), ylim=(-0.85, 1.3), title="Imports run one way")
    axes.axis("off")


def draw_table(edges: Counter[tuple[str, str]], axes) -> None:
    names = list(FOLDERS)
    for row, importer in enumerate(names):
        for column, imported in enumerate(names):
            files = edges[importer, imported]
            same = "#d5dde5" if importer == imported else "white"
            wrong = files and is_upward(importer, imported)
            face = RED if wrong else "#aecbe8" if files else same
            axes.add_patch(plt.Rectangle((column, row), 1, 1, facecolor=face, edgecolor="#c8d0d8"))
            if files:
                axes.text(column + 0.5, row + 0.5, str(files), ha="center", va="center")
    ticks = [i + 0.5 for i in range(len(names))]
    axes.set_yticks(ticks, [f"{name}/" for name in names])
    axes.set_xticks(ticks, [name.replace("/", "/\n") + "/" for name in names], fontsize=8)
    axes.set(xlim=(0, len(names)), ylim=(len(names), 0), title="How many files of a folder (row) import from another (column)")
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


if __name__ == "__main__":
    draw(imports(), Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "architecture.svg")
