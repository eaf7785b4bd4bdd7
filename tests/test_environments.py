"""Each adapter in environments/ with the real other project, in an environment of its own, run as its documentation says."""

import json
import re
from functools import cache
from pathlib import Path

import pytest

from puzzles.clues import answer
from puzzles.cpsat import find_night
from puzzles.dataset import puzzle_of
from puzzles.scenario import Size
from tests.fresh_venv import make_venv, run
from tests.openai_server import openai_server, reply

ROOT = Path(__file__).parents[1]


@pytest.fixture
def installed(tmp_path, request):
    """The folder of programs of an environment with `temporal-clue[EXTRA]`; the extra is the test's parameter."""
    python, source = make_venv(tmp_path)
    run(python, "-m", "pip", "install", "--quiet", source, f"{source}/environments[{request.param}]", cwd=tmp_path)
    return python.parent


@cache
def solution(prompt):
    puzzle, statements = puzzle_of({"prompt": prompt})
    night = find_night(puzzle.setting, statements)
    return [answer(question, night) for question in puzzle.questions]


def sheet(prompt):
    return "\n".join(f"{chr(65 + i)}. {right}" for i, right in enumerate(solution(prompt)))


def solve_every_other(prompt, number):
    """The answer of a model that solves every other puzzle that it is asked, and says nothing to the rest."""
    return reply(sheet(prompt) if number % 2 else "I do not know.")


@pytest.mark.slow
@pytest.mark.parametrize("installed", ["inspect"], indirect=True)
def test_inspect_evaluates_the_registered_task(installed, tmp_path):
    with openai_server(solve_every_other) as (server, url):
        task = ("temporal_clue/temporal_clue", "-T", "puzzles=4", "-T", "suspects=3", "-T", "wording=compact")
        how = ("--model", "openai-api/tester/tester", "--log-dir", "logs", "--log-format", "json", "--display", "plain")
        keys = {"TESTER_API_KEY": "x", "TESTER_BASE_URL": url}
        run(installed / "inspect", "eval", *task, *how, cwd=tmp_path, **keys)
    (file,) = (tmp_path / "logs").glob("*.json")
    log = json.loads(file.read_text())
    assert (log["status"], log["eval"]["task_registry_name"]) == ("success", "temporal_clue/temporal_clue")
    assert {s["name"]: s["metrics"]["mean"]["value"] for s in log["results"]["scores"]}["accuracy"] == 0.5
    assert len(set(server.prompts)) == 4
    assert all(len(puzzle_of({"prompt": prompt})[0].setting.suspects) == 3 for prompt in server.prompts)


def test_the_lines_in_the_documentation_train_with_trl_alone(tmp_path):
    """Only the model, the amount and the folder are changed."""
    page = (ROOT / "docs" / "environments.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?GRPOTrainer.*?)^```$", page, re.MULTILINE | re.DOTALL)
    less = "max_completion_length=8, max_steps=2, num_generations=4, per_device_train_batch_size=8, use_cpu=True, report_to=[]"
    for old, new in {
        '"Qwen/Qwen2.5-1.5B-Instruct"': repr(str(ROOT / "recipes" / "tiny" / "tiny-base")),
        "max_completion_length=2048": f"{less}, logging_steps=1",
        "count=1000": 'count=8, size=Size(3, 2, 3, 1, 0), wording="compact"',
        '"outputs/grpo"': repr(str(tmp_path)),
    }.items():
        assert old in block
        block = block.replace(old, new)
    names = {"Size": Size}
    exec(block, names)
    logs = [log for log in names["trainer"].state.log_history if "reward" in log]
    assert len(logs) == 2
    assert all({"rewards/accuracy/mean", "solved", "unread_answers"} <= set(log) for log in logs)
