"""Each adapter in environments/ with the real other project, in an environment of its own, run as its documentation says."""

import json
import os
import re
import subprocess
import time
from functools import cache
from pathlib import Path
from runpy import run_path

import pytest
import yaml
from huggingface_hub import HfApi

from puzzles.clues import answer
from puzzles.cpsat import find_night
from puzzles.dataset import puzzle_of
from puzzles.scenario import Size
from tests.forked import free_port
from tests.fresh_venv import make_venv, run
from tests.hub import TOKEN, local_hub
from tests.openai_server import openai_server, reply
from tests.test_dataset import make

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
def test_inspect_evaluates_the_registered_task_and_the_file(installed, tmp_path):
    file = "source/environments/temporal_clue/inspect_task.py@temporal_clue"
    for task, size, suspects in (("temporal_clue/temporal_clue", "suspects=3", 3), (file, "players=1,1", 2)):
        with openai_server(solve_every_other) as (server, url):
            which = (task, "-T", "puzzles=4", "-T", size, "-T", "wording=compact")
            logs = tmp_path / size
            how = ("--model", "openai-api/tester/tester", "--log-dir", logs, "--log-format", "json", "--display", "plain")
            keys = {"TESTER_API_KEY": "x", "TESTER_BASE_URL": url}
            run(installed / "inspect", "eval", *which, *how, cwd=tmp_path, **keys)
        (written,) = logs.glob("*.json")
        log = json.loads(written.read_text())
        assert (log["status"], log["eval"]["task_registry_name"]) == ("success", task.split(".py@")[-1])
        assert {s["name"]: s["metrics"]["mean"]["value"] for s in log["results"]["scores"]}["accuracy"] == 0.5
        assert len(set(server.prompts)) == 4
        assert all(len(puzzle_of({"prompt": prompt})[0].setting.suspects) == suspects for prompt in server.prompts)


@pytest.mark.slow
@pytest.mark.parametrize("installed", ["verifiers"], indirect=True)
def test_verifiers_evaluates_endless_puzzles(installed, tmp_path):
    with openai_server(solve_every_other) as (server, url):
        client = ("-m", "tester", "--client.base-url", url, "--client.api-key-var", "TESTER_KEY", "--no-push", "--no-rich")
        which = ("-n", "4", "--env.taskset.suspects", "3", "--env.taskset.difficulty", "medium")
        how = ("--env.agent.runtime.type", "subprocess", "--output-dir", "out")
        path = f"{installed}:{os.environ['PATH']}"  # for uv
        run(installed / "vf-eval", "temporal-clue", *which, *client, *how, cwd=tmp_path, TESTER_KEY="x", PATH=path)
    (file,) = (tmp_path / "out").rglob("traces.jsonl")
    traces = [trace for line in file.read_text().splitlines() for trace in json.loads(line)["traces"]]
    assert sorted(trace["rewards"]["accuracy"]["score"] for trace in traces) == [0, 0, 1, 1]
    assert all(trace["metrics"]["solved"] == 1 - trace["metrics"]["unread_answers"] for trace in traces)
    assert len(set(server.prompts)) == len(server.prompts) == 4  # one turn each
    assert not any(request.get("tools") for request in server.requests)


REASONING_GYM = """
import reasoning_gym, temporal_clue.procedural
make = lambda seed, **more: reasoning_gym.create_dataset("temporal_clue", seed=seed, size=4, suspects=3, **more)
puzzles = make(7)
assert list(puzzles) == list(make(7)) != list(make(8))
assert len({entry["question"] for seed in (7, 8) for entry in make(seed)}) == 8
for entry in puzzles:
    assert puzzles.score_answer(entry["answer"], entry=entry) == 1
    assert puzzles.score_answer(None, entry=entry) == puzzles.score_answer("", entry=entry) == 0
    assert 0 < puzzles.score_answer(entry["answer"].splitlines()[0] + "\\nB. Nobody", entry=entry) < 1
for wrong in ({"rooms": 99}, {"wording": "odd"}, {"players": (3, 2)}):
    try:
        reasoning_gym.create_dataset("temporal_clue", **wrong)
    except AssertionError as error:
        assert next(iter(wrong)) in str(error), error
    else:
        raise SystemExit(f"{wrong} was accepted")
print("all held")
"""


@pytest.mark.slow
@pytest.mark.parametrize("installed", ["reasoning-gym"], indirect=True)
def test_reasoning_gym_makes_and_scores_the_registered_dataset(installed, tmp_path):
    assert run(installed / "python", "-c", REASONING_GYM, cwd=tmp_path).endswith("all held\n")


@pytest.mark.slow
@pytest.mark.parametrize("installed", ["lm-eval"], indirect=True)
def test_lm_eval_asks_fresh_puzzles_and_those_of_a_folder_and_of_the_hub(installed, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    made = make(tmp_path / "clue", "--train", "1", "--validation", "1", "--test", "4", "--players", "1")
    assert made.returncode == 0, made.stderr

    def results(**metadata):
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        with openai_server(solve_every_other) as (server, url):
            model = f"model=tester,base_url={url}/chat/completions"
            task = ("--include_path", ROOT / "environments" / "lm_eval", "--tasks", "temporal_clue", "--apply_chat_template")
            ask = ("--model", "local-chat-completions", "--model_args", model, "--output_path", out)
            keys = {
                "OPENAI_API_KEY": "x",
                "HF_HOME": str(tmp_path / "hf"),
                "HF_ENDPOINT": hub.url,
                "HF_TOKEN": TOKEN,
                "HF_HUB_DISABLE_XET": "1",
            }
            run(installed / "lm_eval", "run", *task, *ask, "--metadata", json.dumps(metadata), cwd=tmp_path, **keys)
        (file,) = out.rglob("results_*.json")
        found = json.loads(file.read_text())["results"]["temporal_clue"]
        assert [found[f"{name},none"] for name in ("accuracy", "solved", "unread_answers")] == [0.5] * 3
        return server.prompts

    with local_hub() as hub:
        api = HfApi(endpoint=hub.url, token=TOKEN)
        api.create_repo("me/clue", repo_type="dataset")
        api.upload_folder(repo_id="me/clue", folder_path=tmp_path / "clue", repo_type="dataset")
        assert len(set(results(puzzles=4, size={"suspects": 2}))) == 4
        assert set(results(dataset=str(tmp_path / "clue"))) == set(results(dataset="me/clue"))


def test_lm_eval_takes_a_size_or_a_range_of_players():
    load = run_path(str(ROOT / "environments" / "lm_eval" / "utils.py"))["load"]
    for options, suspects in (({"size": {"suspects": 4}}, 4), ({"players": [1, 1]}, 2), ({"players": "1"}, 2)):
        rows = load(puzzles=3, wording="compact", **options)["test"]
        assert [row["suspects"] for row in rows] == [suspects] * 3


OPENENV = """
import sys
from openenv.core import GenericEnvClient
from temporal_clue.openenv_client import TemporalClueAction, TemporalClueEnv
with TemporalClueEnv(base_url=sys.argv[1]) as env, GenericEnvClient(base_url=sys.argv[1]) as other:
    first = env.reset(seed=7, suspects=3, difficulty="medium")
    assert other.reset(seed=8, suspects=3).observation["prompt"] != first.observation.prompt
    assert (first.done, first.metadata["difficulty"], first.observation.solution) == (False, "medium", None)
    assert env.state().step_count == 0
    wrong = env.step(TemporalClueAction(answer="I do not know."))
    assert (wrong.reward, wrong.done, wrong.metadata["unread_answers"]) == (0, True, 1)
    assert (wrong.observation.reward, wrong.observation.done, wrong.observation.metadata) == (0, True, wrong.metadata)
    assert env.state().step_count == 1
    try:
        env.step(TemporalClueAction(answer="A. Rope"))
    except RuntimeError as error:
        assert "call reset first" in str(error)
    else:
        raise SystemExit("a second answer was accepted")
    assert env.reset(seed=7, suspects=3, difficulty="medium").observation.prompt == first.observation.prompt
    sheet = "\\n".join(f"{chr(65 + i)}. {answer}" for i, answer in enumerate(wrong.observation.solution))
    right = env.step(TemporalClueAction(answer=sheet))
    assert (right.reward, right.metadata["solved"]) == (1, 1)
    other.reset(seed=7, suspects=3, difficulty="medium")
    assert other.step({"answer": sheet}).reward == 1
assert "temporal_clue.openenv_server" not in sys.modules
print("all held")
"""


@pytest.mark.slow
def test_the_image_is_installed_and_its_server_plays_with_both_clients(tmp_path):
    """What the Dockerfile runs, in an environment of its own instead of an image, with pip's cache and another port."""
    python, source = make_venv(tmp_path)
    lines = (source / "environments" / "Dockerfile").read_text().splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and line[0] != "#"]
    assert [step for step, _ in steps] == ["FROM", "WORKDIR", "ENV", "COPY", "RUN", "WORKDIR", "EXPOSE", "HEALTHCHECK", "CMD"]
    does = dict(steps)
    assert does["COPY"] == ". ."
    path = f"{python.parent}:{os.environ['PATH']}"
    run("sh", "-c", does["RUN"], cwd=source, PATH=path)

    port = str(free_port())
    serve, check = (json.loads(does[name].removeprefix("CMD ").replace("8000", port)) for name in ("CMD", "HEALTHCHECK"))
    manifest = yaml.safe_load((source / "environments" / "openenv.yaml").read_text())
    assert (manifest["app"], str(manifest["port"])) == (serve[1], does["EXPOSE"])
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PATH": path}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(serve, cwd="/", env=env, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 300
        while "running on" not in (tmp_path / "log").read_text():
            assert server.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.5)
        url = f"http://127.0.0.1:{port}"
        run(*check, cwd="/", PATH=path)
        for target in ([source / "environments", "--level", "static"], ["--url", url]):
            assert "Verdict: PASS" in run(python.parent / "openenv", "validate", *target, cwd=tmp_path)
        assert run(python, "-c", OPENENV, url, cwd=tmp_path) == "all held\n"
    finally:
        server.kill()
        server.wait()


def test_the_lines_in_the_documentation_train_with_trl_alone(tmp_path):
    """Only the model, the amount and the folder are changed."""
    page = (ROOT / "docs" / "environments.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if "GRPOTrainer" in block)
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
