"""Tables of text."""

from puzzles.tables import markdown_table, text_table


def test_the_columns_of_a_text_table_line_up():
    rows = [("row", "1", 333), ("longer", "22", "–")]
    assert text_table(("", "a", "b"), rows, "<").splitlines() == ["        a   b", "row     1   333", "longer  22  –"]
    assert text_table(("", "a", "b"), rows).splitlines() == ["         a    b", "row      1  333", "longer  22    –"]


def test_a_markdown_table_has_a_rule_below_its_header():
    assert markdown_table(("a", ""), [(1, "x")]) == "| a | |\n|---|---|\n| 1 | x |"
