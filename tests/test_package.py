"""The package: its metadata promises what the code imports and what is pinned; a bare installation makes and grades puzzles."""

import ast
import re
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.fresh_venv import make_venv, run
from tests.test_docs import tracked
from tests.test_requirements import pins

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DISTRIBUTIONS = {"markdown_it": "markdown-it-py", "pysat": "python-sat", "yaml": "pyyaml"}  # if imported by another name
FIRST_PARTY = {"puzzles", "rewards", "recipes", "benchmarks", "tests"}
PACKED_DATA = (".css", ".html", ".yaml", ".json", ".jinja", ".safetensors", ".sh")


def requirements(lines):
    """What a list of requirements names, the extras of this project within it included."""
    found = {}
    for requirement in map(Requirement, lines):
        if requirement.name == PROJECT["name"]:
            for extra in requirement.extras:
                found |= requirements(EXTRAS[extra])
        else:
            found[canonicalize_name(requirement.name)] = requirement
    return found


def imported(source):
    """The distributions that a source imports, wherever in it that is."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(node.module)
    tops = {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - FIRST_PARTY
    return {canonicalize_name(DISTRIBUTIONS.get(top, top)) for top in tops}


def undeclared(folder, declared):
    """The distributions that files of a folder import and that are not declared."""
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    missing = {str(file.relative_to(ROOT)): imported(file.read_text(encoding="utf-8")) - declared for file in files}
    return {file: names for file, names in missing.items() if names}


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_each_extra_admits_the_versions_that_are_pinned(extra):
    pinned = pins("requirements-cpu.txt") | pins("requirements-dev.txt")
    for name, requirement in requirements(EXTRAS[extra] if extra else PROJECT["dependencies"]).items():
        if requirement.marker is None or requirement.marker.evaluate():
            tested = pinned.get(name) or version(name)
            assert requirement.specifier.contains(tested, prereleases=True), f"{requirement} does not admit {tested}"


def test_puzzles_and_rewards_import_only_what_is_declared():
    declared = set(requirements(PROJECT["dependencies"]))
    assert "torch" not in declared
    assert undeclared("puzzles", declared) == {}
    optional = {"rewards/deductions/llm_extractor.py": {"openai"}, "rewards/deductions/view.py": {"inspect-ai"}}
    assert undeclared("rewards", declared) == optional
    assert {"openai", "inspect-ai"} <= set(requirements(EXTRAS["eval"]))


def test_recipes_import_only_what_their_extras_declare():
    declared = set(requirements(PROJECT["dependencies"] + EXTRAS["train"] + EXTRAS["eval"]))
    missing = undeclared("recipes", declared)
    assert set().union(*missing.values()) <= {"vllm"}, missing  # of requirements.txt
    for file in sorted((ROOT / "recipes").glob("*.py")):
        names = imported(file.read_text()) - set(requirements(PROJECT["dependencies"] + EXTRAS["train"]))
        assert names <= {"vllm"}, f"{file.name} needs {names}, which the extra `train` lacks"


def test_the_checks_can_fail():
    assert imported("import yaml, os\ndef f():\n    from pysat.solvers import Solver\n    import puzzles.clues") == {
        "pyyaml",
        "python-sat",
    }
    assert undeclared("puzzles", {"tqdm"})
    assert not Requirement("trl>=1.17").specifier.contains(pins("requirements-cpu.txt")["trl"], prereleases=True)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A fresh environment that holds this package and what it depends on: its Python, the wheel, an empty folder."""
    folder = tmp_path_factory.mktemp("bare")
    python, source = make_venv(folder)
    run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source, cwd=folder)
    (wheel,) = folder.glob("temporal_clue_grpo-*.whl")
    run(python, "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    work = folder / "work"
    work.mkdir()
    return python, wheel, work


@pytest.mark.slow
def test_the_wheel_has_every_file_that_the_code_reads(bare):
    names = set(zipfile.ZipFile(bare[1]).namelist())
    wanted = {name for name in tracked("puzzles", "rewards", "recipes") if name.endswith((*PACKED_DATA, ".py"))}
    assert len([name for name in wanted if name.endswith(PACKED_DATA)]) > 20
    assert wanted <= names
    assert not [name for name in names if name.split("/")[0] in ("tests", "benchmarks", "docs")]


@pytest.mark.slow
def test_a_bare_installation_makes_puzzles_and_grades_answers(bare):
    python, _, work = bare
    check = "import importlib.util as u; assert not any(map(u.find_spec, ('torch', 'trl', 'transformers')))"
    run(python, "-c", check, cwd=work)
    assert "Proof" in run(python, "-m", "puzzles", "--seed", 7, "--index", 0, "--proof", cwd=work)
    (block,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert run(python, "-c", f"{block}\nprint(scores)", cwd=work) == "[1.0]\n"
    size = ["--players", "1", "--train", 8, "--validation", 2, "--test", 2]
    run(python, "-m", "puzzles.dataset", *size, "--output", work / "clue", cwd=work)
    assert "12" in run(python, "-m", "puzzles.verify", work / "clue", cwd=work)
    imports = "import rewards.deductions.judge, rewards.deductions.reader, rewards.deductions.view, puzzles.viewer.gallery"
    run(python, "-c", imports, cwd=work)
