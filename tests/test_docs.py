"""The documentation holds: its links, paths, commands and code exist and work, and its picture and tree show this code."""

import importlib.util
import re
import subprocess
import sys
from fnmatch import filter as matching
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "GALLERY.md",
    *(f"docs/{p.name}" for p in sorted(ROOT.glob("docs/*.md"))),
]
CODE_FOLDERS = ("puzzles", "rewards", "recipes", "environments", "benchmarks")
PRIVATE = (  # expressions that only their author understands, or that are not English
    r"\bmend(s|ed|ing)?\b",
    r"last breath",
    r"one word too many",
    r"one too many",
    r"\bthe house\b",
    r"\bwhoever\b",
    r"\bcut[ -]off\b",
    r"half-written",
    r"\bwill not do\b",
    r"\bcome out even\b",
    r"\bis no list\b",
    r"\blays out\b",
    r"in a row that make",
    r"\bgoes on (where|from)\b",
)


def tracked(*folders):
    done = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this is not a git checkout")
    return [path for path in done.stdout.splitlines() if (ROOT / path).exists()]


def without_fences(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def slugs(page):
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", without_fences(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", title).lower()).replace(" ", "-") for title in titles}


def broken_links(page):
    """What a page links to within the repository that is not there."""
    text = re.sub(r"`[^`]*`", "", without_fences(page.read_text()))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if re.match(r"https?:", target):
            continue
        if not file.exists() or (anchor and anchor not in slugs(file)):
            yield target


def code(text):
    """The code of a page: spans in backticks and indented or fenced lines."""
    fenced = [
        line for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) for line in block.splitlines()
    ]
    prose = without_fences(text)
    indented = re.findall(r"^ {4,}(\S.*)$", prose, re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    return [line.strip() for line in (*fenced, *indented, *spans)]


def unknown_targets(text, makefile):
    known = set(re.findall(r"^([\w.-]+):", makefile, re.MULTILINE))
    for line in code(text):
        for command in re.findall(r"(?:^|&& )make ((?:[a-z0-9][\w.-]*(?: |$))+)", line):
            yield from set(command.split()) - known


def missing_paths(text, files):
    """Paths in a page's code that are in none of the repository's folders, and bare names of files that no folder has."""
    folders = {str(parent) for file in files for parent in Path(file).parents}
    tops = {file.split("/")[0] for file in files if "/" in file}
    for line in code(text):
        for word in re.findall(r"[\w.*/-]+", line.replace("…", "*")):
            word = word.rstrip("./")
            if word.split("/")[0] in tops and "/" in word:
                if word not in folders and not matching(files, word):
                    yield word
            elif re.fullmatch(r"[\w.-]+\.(py|yaml|toml|sh|cff)", word) and not any(Path(f).name == word for f in files):
                yield word
        for module in re.findall(r"python -m ((?:puzzles|rewards|recipes|benchmarks)[\w.]*)", line):
            path = module.replace(".", "/")
            if not {f"{path}.py", f"{path}/__main__.py"} & set(files):
                yield module


def unknown_names(text):
    """Names that a page says are in a file, such as `KNOWN_CONFIGS` in `recipes/planner/plan.py`, and that are not."""
    for name, file in re.findall(r"`(\w+)` (?:in|to) `([\w/]+\.py)`", " ".join(text.split())):
        if (ROOT / file).exists() and not re.search(rf"\b{name}\b", (ROOT / file).read_text()):
            yield f"{name} in {file}"


@pytest.mark.parametrize("page", PAGES)
def test_links_and_anchors_resolve(page):
    assert list(broken_links(ROOT / page)) == []


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page):
    assert list(unknown_targets((ROOT / page).read_text(), (ROOT / "Makefile").read_text())) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_paths_in_code_and_names_in_files_exist(page):
    text = (ROOT / page).read_text()
    assert list(missing_paths(text, tracked())) == []
    assert list(unknown_names(text)) == []


def test_these_checks_can_fail(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One `title`\n\n[a](#one-title) [b](#two) [c](page.md#one-title) [d](gone.md) [e](https://x.y/z)\n")
    assert list(broken_links(page)) == ["#two", "gone.md"]
    commands = "`make\nfly`, `make test`, make haste\n\n    make plan swim X=1  # make no\n"
    assert sorted(unknown_targets(commands, "test:\nplan:\n")) == ["fly", "swim"]
    files = ["puzzles/clues.py", "puzzles/dataset/__main__.py", "docs/a.md"]
    text = "`puzzles/clues.py` `clues.py` `puzzles/` `docs/*.md` `puzzles/gone.py` `gone.py` `python -m puzzles.dataset` "
    assert list(missing_paths(text + "`python -m puzzles.clue`, `outputs/x.json`", files)) == [
        "puzzles/gone.py",
        "gone.py",
        "puzzles.clue",
    ]
    assert list(unknown_names("`Gone` in\n`puzzles/clues.py`, `At` in `puzzles/clues.py`")) == ["Gone in puzzles/clues.py"]
    assert listed("```text\na/\n  b.py   one\n  c/     all of it\nd.py  two\n```") == [
        "a/b.py",
        "a/c/",
        "d.py",
    ]
    assert private_words("We mended it.\nAn amendment, tailor-made.") == ["1: mended"]


def test_readme_is_short_and_its_python_runs():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        names = {}
        exec(block, names)
        assert names["scores"] == [1.0]


def test_readme_names_what_is_not_proven_before_any_figure():
    text = (ROOT / "README.md").read_text()
    first_table = text.index("\n|")
    assert text.index("Not proven here") < min(first_table, text.index("!["), text.index("28 %"))
    assert text.index("docs/architecture.md") < len("\n".join(text.splitlines()[:30]))


def listed(text):
    """The paths in the tree of docs/architecture.md. A folder that the tree has nothing below ends in a slash."""
    (tree,) = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    paths, parents = [], []
    lines = tree.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        parents = [*parents[:depth], name]
        has_children = len(following) - len(following.lstrip()) > 2 * depth
        if not has_children:
            paths.append("".join(parents))
    return paths


def test_the_tree_names_exactly_the_files_there_are():
    files = [file for file in tracked(*CODE_FOLDERS) if not file.endswith("__init__.py")]
    paths = listed((ROOT / "docs" / "architecture.md").read_text())
    assert len(paths) == len(set(paths))
    folders = tuple(path for path in paths if path.endswith("/"))
    assert all(any(file.startswith(folder) for file in files) for folder in folders)
    tree, there = set(paths) - set(folders), {file for file in files if not file.startswith(folders)}
    assert (tree - there, there - tree) == (set(), set()), "in docs/architecture.md and not there; there and not in it"


@pytest.fixture(scope="module")
def architecture():
    spec = importlib.util.spec_from_file_location("architecture", ROOT / "docs" / "architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_imports_run_one_way(architecture):
    edges = architecture.imports()
    assert edges["rewards", "puzzles"]
    assert edges["recipes", "rewards"]
    assert [edge for edge in edges if architecture.is_upward(*edge)] == []


def test_an_upward_import_is_seen(architecture, tmp_path):
    for folder in architecture.FOLDERS:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / "puzzles" / "a.py").write_text("def f():\n    from recipes.tiny import model\n")
    edges = architecture.imports(tmp_path)
    assert dict(edges) == {("puzzles", "recipes/tiny"): 1}
    assert architecture.is_upward("puzzles", "recipes/tiny")


def test_the_picture_is_up_to_date(tmp_path):
    """If this fails: python docs/architecture.py"""
    file = tmp_path / "architecture.svg"
    subprocess.run([sys.executable, "docs/architecture.py", file], cwd=ROOT, check=True)
    assert file.read_bytes() == (ROOT / "docs" / "architecture.svg").read_bytes()


def private_words(text):
    return [
        f"{number}: {match[0]}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern in PRIVATE
        for match in re.finditer(pattern, line, re.IGNORECASE)
    ]


def test_no_private_words():
    files = [file for file in tracked() if file.endswith((".py", ".md", ".yaml", "Makefile"))]
    found = {file: private_words((ROOT / file).read_text()) for file in files if file not in ("LOG.md", "tests/test_docs.py")}
    assert {file: words for file, words in found.items() if words} == {}


def test_citation_and_workflow_are_complete():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    assert citation["title"]
    assert citation["authors"] == [{"name": "the Temporal Clue GRPO authors"}]
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert citation["version"] == version
    assert f"## [{version}] - {citation['date-released']}" in (ROOT / "CHANGELOG.md").read_text()
    job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"]
    assert job["timeout-minutes"] == 90
    assert job["steps"][-1] == {"run": ".ci/run"}
