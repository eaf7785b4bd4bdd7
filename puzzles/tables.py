"""Tables of text: Markdown for files, aligned columns for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table, one line per row. Cells are not escaped: they must not contain a `|` or a line break."""
    lines = ["|" + "".join(f" {cell} |" if cell != "" else " |" for cell in row) for row in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])


def text_table(header: Sequence[str], rows: Iterable[Sequence[object]], align: str = ">") -> str:
    """Columns as wide as their widest cell, two spaces apart; the first is aligned to the left.

    Args:
        align: of all other columns, "<" or ">".
    """
    lines = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ([f"{cell:{align if i else '<'}{widths[i]}}" for i, cell in enumerate(row)] for row in lines)
    return "\n".join("  ".join(row).rstrip() for row in padded)
