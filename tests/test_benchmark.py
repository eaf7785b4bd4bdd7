"""The benchmark against a real HTTP server: its measures, what it counts, and that nothing is paid for twice."""

import json
import subprocess
import sys
import time
import zipfile
from collections import Counter
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
import yaml
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from puzzles.clues import At, facts
from puzzles.cpsat import find_night
from puzzles.dataset import build, chance, puzzle_of
from puzzles.scenario import Size
from puzzles.sentences import render
from recipes import ROOT
from recipes.arguments import puzzles_of
from recipes.data import fresh_puzzles
from recipes.evaluation import benchmark
from recipes.evaluation import task as tasks
from recipes.evaluation.measures import summarize, summary_table
from recipes.runs import score
from rewards.accuracy import accuracy, published_accuracy
from tests.openai_server import USAGE, claude, openai_server, refusal, reply
from tests.test_rehearsal import needs_vllm

COUNT, SAMPLES = 8, 3


@pytest.fixture(scope="module")
def rows():
    return build(20261123, 0, COUNT, Size(suspects=3, weapons=2, rooms=4, times=2, motives=2)).to_list()


@pytest.fixture
def dataset(rows, tmp_path):
    file = tmp_path / "puzzles.json"
    file.write_text(json.dumps(rows))
    return file


@pytest.fixture
def prices(tmp_path):
    file = tmp_path / "prices.yaml"
    file.write_text("tester: {input: 2.0, cached: 0.5, output: 10.0, source: here, date: 2026-11-23}\n")
    return file


def sheet(row, wrong=0):
    """A row's answer sheet, with the first answers replaced by nonsense."""
    return "\n".join(f"{chr(65 + i)}. {'Nobody' if i < wrong else a}" for i, a in enumerate(row["solution"]))


def sentences(row, right, wrong):
    """`right` sentences that are true on the puzzle's night, then `wrong` ones that are false; none is a clue."""
    puzzle, statements = puzzle_of(row)
    s = puzzle.setting
    true = [f for f in facts(find_night(s, statements)) if isinstance(f, At) and f not in statements]
    false = [At(f.who, next(room for room in s.rooms if room != f.room), f.time) for f in true]
    return [render(f, s) for f in true[:right] + false[:wrong]]


def by_prompt(rows):
    return {row["prompt"][0]["content"]: row for row in rows}


def command(dataset, url, output, *more):
    asked = ("--base-url", url, "--dataset", str(dataset), "--puzzles", str(COUNT), "--samples", str(SAMPLES))
    return ["tester", *asked, "--output", str(output), "--max-connections", "4", *more]


@pytest.fixture
def bench(monkeypatch, capsys):
    """Runs the benchmark in this process, without the lock on its folder, which this process would keep."""
    monkeypatch.setattr("recipes.checkpoints.lock_folder", lambda folder: None)

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["benchmark.py", *map(str, options)])
        capsys.readouterr()
        try:
            code, error = benchmark.main(benchmark.arguments()), ""
        except ValueError as refused:
            code, error = 1, str(refused)
        except SystemExit as refused:
            code, error = refused.code, ""
        printed = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=printed.out, stderr=printed.err + error)

    return run


@pytest.fixture
def run(bench):
    return lambda *options: bench(*command(*options))


def result_of(output):
    return json.loads((output / "tester" / "result.json").read_text())


def test_every_figure_matches_the_responses_and_prices_can_change_later(rows, dataset, prices, tmp_path, run, monkeypatch):
    known = by_prompt(rows)

    def answer(prompt, number):
        time.sleep(0.02 * (number % 3))
        row = known[prompt]
        return reply("Let me think.\n" + sheet(row, wrong=rows.index(row) % 3))

    with openai_server(answer) as (server, url):
        monkeypatch.setenv("SERVER_API_KEY", "sk-very-secret")
        done = run(dataset, url, tmp_path / "out", "--prices", str(prices))
        assert done.returncode == 0, done.stderr
        assert len(server.prompts) == COUNT * SAMPLES
        result = result_of(tmp_path / "out")
        sheets = [sheet(row, wrong=i % 3) for i, row in enumerate(rows)]
        right = accuracy(sheets, [row["solution"] for row in rows])
        published = published_accuracy(sheets, [row["solution"] for row in rows])
        for key, values in (("accuracy", right), ("published_accuracy", published), ("solved", [r == 1 for r in right])):
            assert result[key]["mean"] == pytest.approx(np.mean(values))
            assert result[key]["low"] <= result[key]["mean"] <= result[key]["high"]
            assert (result[key]["n"], result[key]["puzzles"]) == (COUNT * SAMPLES, COUNT)
        assert published != right  # the published grader cannot read a time
        for name, value in result["by_difficulty"].items():
            of_band = [r for r, row in zip(right, rows, strict=True) if row["difficulty"] == name]
            assert value["n"] == SAMPLES * len(of_band)
            assert value["mean"] == (pytest.approx(np.mean(of_band)) if of_band else None)
        questions = sum(len(row["solution"]) for row in rows)
        assert sum(value["n"] for value in result["by_question"].values()) == SAMPLES * questions
        answered = sum(value["mean"] * value["n"] for value in result["by_question"].values() if value["n"])
        assert answered == pytest.approx(SAMPLES * (questions - sum(i % 3 for i in range(COUNT))))
        assert result["completion_tokens"]["mean"] == USAGE["completion_tokens"]
        assert result["dollars"]["mean"] == pytest.approx((600 * 2.0 + 400 * 0.5 + 200 * 10.0) / 1e6)
        assert result["responses"] == {
            "asked": 24, "answered": 24, "truncated": 0, "refused": 0, "empty": 0, "failed": 0, "repeated_requests": 0
        }  # fmt: skip

        prices.write_text(prices.read_text().replace("10.0", "20.0"))
        assert run(dataset, url, tmp_path / "out", "--prices", str(prices)).returncode == 0
        assert result_of(tmp_path / "out")["dollars"]["mean"] == pytest.approx((600 * 2.0 + 400 * 0.5 + 200 * 20.0) / 1e6)
        assert run(dataset, url, tmp_path / "out", "--gpu-dollars", "3600").returncode == 0
        again = result_of(tmp_path / "out")
        assert again["dollars"]["mean"] == pytest.approx(again["seconds"] / 24)  # a dollar a second, shared out
        assert len(server.prompts) == COUNT * SAMPLES  # nothing was requested again
        other = run(dataset, url, tmp_path / "out", "--temperature", "0.5")
        assert other.returncode != 0
        assert "temperature was 1.0, now 0.5" in other.stderr
    for path in (tmp_path / "out").rglob("*"):
        if path.suffix == ".eval":
            with zipfile.ZipFile(path) as log:
                assert not any(b"sk-very-secret" in log.read(name) for name in log.namelist())
        elif path.is_file():
            assert b"sk-very-secret" not in path.read_bytes()


def test_rate_limits_truncations_refusals_and_errors_are_counted_and_not_scored_zero(rows, dataset, tmp_path, run):
    known, fixed = by_prompt(rows), False

    def answer(prompt, number):
        if number % 5 == 0:
            return refusal(429, "slow down", "rate_limit_exceeded")
        row = known[prompt]
        match rows.index(row):
            case 0:
                return reply("I was about to say that", finish="length")
            case 1:
                return reply("", finish="content_filter")
            case 2 if not fixed:
                return refusal(400, "this prompt is too long", "context_length_exceeded")
            case 3 if not fixed:
                return refusal(400, "no such parameter", "bad_request")
        return reply(sheet(row), usage=None if rows.index(row) == 4 else USAGE)

    with openai_server(answer) as (server, url):
        first = run(dataset, url, tmp_path / "out")
        found = result_of(tmp_path / "out")
        assert first.returncode == 1
        assert found["responses"] == {
            "asked": 24, "answered": 18, "truncated": 3, "refused": 3, "empty": 0, "failed": 6,
            "repeated_requests": server.statuses.count(429),
        }  # fmt: skip
        assert server.statuses.count(429) > 0
        assert (found["accuracy"]["n"], found["accuracy"]["mean"]) == (18, pytest.approx(12 / 18))  # the failed are not zeros
        assert found["dollars"] is None
        for warning in ("3 of 18 responses were truncated", "3 responses are refusals", "6 responses are missing"):
            assert warning in first.stdout
        assert "the server gave no token counts" in first.stdout
        fixed, asked = True, len(server.prompts)
        second = run(dataset, url, tmp_path / "out")
        found = result_of(tmp_path / "out")
        assert second.returncode == 0, second.stdout + second.stderr
        assert found["responses"]["failed"] == 0
        new = [prompt for prompt, status in list(zip(server.prompts, server.statuses, strict=True))[asked:] if status == 200]
        assert {rows.index(known[prompt]) for prompt in new} == {2, 3}
        assert len(new) == 6


def test_after_kill_9_only_what_is_missing_is_requested(rows, dataset, tmp_path, run):
    known = by_prompt(rows)
    with openai_server(lambda prompt, _: reply(sheet(known[prompt])), seconds=0.3) as (server, url):
        with (tmp_path / "killed.log").open("w") as log:
            first = subprocess.Popen(
                [sys.executable, "recipes/evaluation/benchmark.py", *command(dataset, url, tmp_path / "out")],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
            deadline = time.monotonic() + 120
            while len(server.statuses) < 10:
                assert first.poll() is None, Path(log.name).read_text()[-3000:]
                assert time.monotonic() < deadline
                time.sleep(0.01)
            for process in [*psutil.Process(first.pid).children(recursive=True), psutil.Process(first.pid)]:
                process.kill()
            first.wait()
        second = run(dataset, url, tmp_path / "out")
        assert second.returncode == 0, second.stderr
        result = result_of(tmp_path / "out")
        assert (result["responses"]["answered"], result["accuracy"]["mean"]) == (COUNT * SAMPLES, 1.0)
        in_flight = 2 * 4  # under way when it was killed, or answered and not yet on disk
        assert len(server.prompts) <= COUNT * SAMPLES + in_flight
        assert result["seconds"] < 0.3 * COUNT * SAMPLES  # without the break between the two runs


def test_deductions_are_counted_by_verdict_and_an_extractor_is_asked_once(rows, dataset, tmp_path, run):
    known = by_prompt(rows)

    def answer(prompt, _):
        row = known[prompt]
        clue = next(line for line in prompt.splitlines() if line.startswith("- "))
        stated = sentences(row, right=3 if rows.index(row) % 2 else 1, wrong=1)
        prose = ". ".join([*stated, stated[0], "Mr. Boddy liked Mr. Boddy"])
        return reply(f"{prose}.\n{clue}\nPerhaps {stated[0]}.\n{sheet(row)}")

    with openai_server(answer) as (server, url):
        assert run(dataset, url, tmp_path / "out").returncode == 0
        found = result_of(tmp_path / "out")
        # In 4 puzzles 1 is right, in 4 there are 3, in each one is wrong and one sentence unread; what is repeated counts once.
        assert found["verdicts"] == {"proved": 16 * SAMPLES, "refuted": 8 * SAMPLES, "undecided": 0, "timed out": 0}
        assert (found["soundness"]["mean"], found["soundness"]["n"]) == (pytest.approx(16 / 24), 24 * SAMPLES)
        assert found["soundness"]["low"] < 16 / 24 < found["soundness"]["high"]
        assert (found["deductions"]["mean"], found["deductions"]["n"]) == (3.0, COUNT * SAMPLES)
        assert found["read_share"]["mean"] == pytest.approx((24 + 8) / (24 + 8 + 8))  # the repeated sentence is read
        assert found["extracted"] is None

        by_first_sentence = {sentences(row, 1, 0)[0]: row for row in rows}
        fixed = False

        def rewrite(prompt, _):
            row = next(row for first, row in by_first_sentence.items() if prompt.startswith(first))
            right, wrong = sentences(row, 1, 1)
            match rows.index(row):
                case 0 if not fixed:
                    return refusal(400, "no such parameter", "bad_request")
                case 0 | 1:
                    return reply("NONE")
            return reply(f"{right}\nNOT: {wrong}\nThe butler did it")

        with openai_server(rewrite) as (extractor, address):
            options = ("--extractor-url", address, "--extractor-model", "tester")
            first = run(dataset, url, tmp_path / "out", *options)
            found, direct = result_of(tmp_path / "out")["extracted"], found
            assert first.returncode == 1
            assert "the extractor failed on 3 of 24 responses" in first.stdout
            assert (found["responses"], found["failed"]) == (21, 3)
            assert "no such parameter" in found["first_error"]
            assert (found["soundness"]["mean"], found["soundness"]["n"]) == (1.0, 2 * 6 * SAMPLES)
            assert (found["deductions"]["mean"], found["deductions"]["n"]) == (pytest.approx(12 / 7), 7 * SAMPLES)
            assert found["read_share"]["mean"] == pytest.approx(2 / 3)
            assert len(extractor.prompts) == COUNT  # the samples of a puzzle are alike here
            fixed = True
            for _ in range(2):  # the second time nothing is requested
                again = run(dataset, url, tmp_path / "out", *options)
                assert again.returncode == 0, again.stderr
                found = result_of(tmp_path / "out")["extracted"]
                assert (found["failed"], found["deductions"]["mean"]) == (0, pytest.approx(12 / 8))
                assert len(extractor.prompts) == COUNT + 1
        assert result_of(tmp_path / "out")["soundness"] == direct["soundness"]
        assert len(server.prompts) == COUNT * SAMPLES  # no response was asked for again
    half = run(dataset, url, tmp_path / "out", "--extractor-url", "http://127.0.0.1:9/v1")
    assert half.returncode == 2
    assert "--extractor-url and --extractor-model go together" in half.stderr
    log = benchmark.complete_log(tmp_path / "out" / "tester" / "logs", COUNT * SAMPLES)
    for sample in log.samples:
        del sample.scores["grader"].metadata["deductions"]  # as in a log from before they were judged
    old = summarize(log.samples, SAMPLES, None, None)
    assert old["soundness"] is old["deductions"] is old["read_share"] is None
    assert old["accuracy"]["mean"] == 1.0
    assert "deductions" not in summary_table(old)
    assert f"best of {SAMPLES}" in summary_table(old)
    del old["best_of_k"], old["pass_at_k"]  # as in a result from before they were measured
    assert "best of" not in summary_table(old)


def test_the_best_of_k_samples_is_measured_on_puzzles_with_all_samples(rows, dataset, tmp_path, run):
    known, times = by_prompt(rows), Counter()
    slips = [(0, 1, 2), (1, 1, 1), (0, 0, 0), (2, 0, 2), (2, 1, 2), (0, 0, 1), (1, 2, 2)]  # wrong answers of each response

    def answer(prompt, _):
        i = rows.index(known[prompt])
        times[i] += 1
        if i == len(slips):  # the last puzzle gets only two of its three responses
            return refusal(400, "no such parameter", "bad_request") if times[i] == 1 else reply(sheet(rows[i]))
        return reply(sheet(rows[i], wrong=slips[i][times[i] - 1]))

    with openai_server(answer) as (_, url):
        done = run(dataset, url, tmp_path / "out", "--max-connections", "1")
    found = result_of(tmp_path / "out")
    assert found["responses"]["failed"] == 1
    assert (found["accuracy"]["n"], found["accuracy"]["puzzles"]) == (COUNT * SAMPLES - 1, COUNT)
    right = [[1 - wrong / len(row["solution"]) for wrong in of] for row, of in zip(rows, slips, strict=False)]
    solved = [[float(wrong == 0) for wrong in of] for of in slips]
    for key, scores in (("best_of_k", right), ("pass_at_k", solved)):
        assert list(found[key]) == ["1", "2", "3"]
        for k, value in found[key].items():
            expected = [np.mean([max(chosen) for chosen in combinations(of, int(k))]) for of in scores]
            assert value["mean"] == pytest.approx(np.mean(expected))
            assert value["low"] < value["mean"] < value["high"]
            assert value["n"] == value["puzzles"] == len(slips)
    for k, passed in found["pass_at_k"].items():
        assert f"pass@{k}" in done.stdout
        assert f"{passed['mean']:.3f}" in next(line for line in done.stdout.splitlines() if line.startswith(f"pass@{k} "))
        assert f"best of {k}" in done.stdout


def test_a_name_is_no_path_and_a_failed_start_deletes_nothing_that_was_there(dataset, tmp_path, run, bench):
    nowhere = "http://127.0.0.1:9/v1"
    kept = tmp_path / "kept" / "thesis.txt"
    kept.parent.mkdir()
    kept.write_text("years of work")
    (tmp_path / "out").mkdir()
    for name in ("../kept", "..", "a/b", f"{kept.parent}", "../new"):
        refused = run(dataset, nowhere, tmp_path / "out", "--name", name)
        assert f"--name {name}: must be the name of a folder in {tmp_path / 'out'}, not a path" in refused.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["kept", "out", "puzzles.json", "thesis.txt"]

    done = ("guess", "--dataset", dataset, "--puzzles", 2, "--samples", 1, "--output", tmp_path / "out", "--name", "x")
    assert bench(*done).returncode == 0
    assert (
        "x holds another run (samples was 1, now 2). Choose another folder (with --name)" in bench(*done, "--samples", 2).stderr
    )
    (tmp_path / "out" / "x" / "logs").rename(tmp_path / "archive")
    (tmp_path / "out" / "x" / "result.json").write_text("kept")
    base = ["tester", *done[1:], "--base-url", nowhere]
    (run_json := tmp_path / "out" / "x" / "run.json").write_text(run_json.read_text().replace('"guess"', '"tester"'))
    assert "Is it an OpenAI-compatible server?" in bench(*base).stderr
    assert (tmp_path / "out" / "x" / "result.json").read_text() == "kept"


def test_empty_and_unread_answers_are_counted_and_reported(rows, dataset, tmp_path, run):
    known = by_prompt(rows)

    def answer(prompt, _):
        row = known[prompt]
        match rows.index(row):
            case 0:
                return reply(None, reasoning_content=sheet(row))
            case 1:
                return reply("  ", reasoning=sheet(row))
            case 2:
                return reply(f"<think>\n{sheet(row)}\n</think>\n")
            case 3:
                return reply(None, finish="length", reasoning_content=sheet(row))
            case 4:
                return reply(sheet(row).replace("A. ", "A. not "))
        return reply(sheet(row))

    with openai_server(answer) as (_, url):
        done = run(dataset, url, tmp_path / "out")
    found = result_of(tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (found["responses"]["empty"], found["responses"]["truncated"]) == (3 * SAMPLES, SAMPLES)
    assert f"{3 * SAMPLES} of 24 responses ended by themselves without an answer" in done.stdout
    questions = [len(row["solution"]) for row in rows]
    assert found["unread_answers"]["mean"] == pytest.approx((sum(questions[:4]) + 1) / sum(questions))
    assert "answers unread" in done.stdout
    assert found["accuracy"]["mean"] == pytest.approx((1 - 1 / questions[4] + 3) / COUNT)


@pytest.mark.parametrize("thinking", [True, False])
def test_a_thought_begun_by_the_template_must_end_and_template_arguments_reach_the_server(
    thinking, rows, dataset, tmp_path, run
):
    known = by_prompt(rows)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"chat_template_kwargs": {"enable_thinking": thinking}}))

    def answer(prompt, _):
        row = known[prompt]
        if rows.index(row) % 2:
            return reply(f"Let me think.\n{sheet(row, wrong=1)}\n</think>\n{sheet(row)}")
        return reply(f"Let me think.\n{sheet(row)}", finish="length" if rows.index(row) else "stop")

    template = {True: "<think>\n", False: "<think>\n\n</think>\n\n"}
    with openai_server(answer, template=template) as (server, url):
        done = run(dataset, url, tmp_path / "out", "--recipe", str(recipe))
        assert done.returncode == 0, done.stderr
        assert all(request["chat_template_kwargs"] == {"enable_thinking": thinking} for request in server.requests)
        found = result_of(tmp_path / "out")
        assert found["accuracy"]["mean"] == (0.5 if thinking else 1.0)
        assert found["responses"]["empty"] == (SAMPLES if thinking else 0)
        recipe.write_text(yaml.safe_dump({"chat_template_kwargs": {"enable_thinking": not thinking}}))
        other = run(dataset, url, tmp_path / "out", "--recipe", str(recipe))
        assert "chat_template_kwargs was" in other.stderr
        assert len(server.requests) == COUNT * SAMPLES


def test_a_server_gets_the_prompts_of_training_and_an_api_that_cannot_is_named(rows, tmp_path, run, bench, monkeypatch):
    system = {"role": "system", "content": "You are a detective."}
    shots = [{"role": "user", "content": "Ready?"}, {"role": "assistant", "content": "Yes."}]
    texts = [row["prompt"][-1]["content"] for row in rows]
    known = dict(zip(texts, rows, strict=True))
    prompts = [[system, *shots, *row["prompt"]] for row in rows]
    prompts[1] = texts[1]
    prompts[2] = [system, {"role": "user", "content": [{"type": "text", "text": texts[2]}]}]
    file = tmp_path / "messages.json"
    file.write_text(json.dumps([row | {"prompt": asked} for row, asked in zip(rows, prompts, strict=True)]))
    with openai_server(lambda prompt, _: reply(sheet(known[prompt]))) as (server, url):
        assert run(file, url, tmp_path / "out").returncode == 0
        sent = {request["messages"][-1]["content"]: request["messages"] for request in server.requests}
        assert [message["role"] for message in sent[texts[0]]] == ["system", "user", "assistant", "user"]
        assert sent[texts[0]][0]["content"] == system["content"]
        assert sent[texts[1]] == [{"role": "user", "content": texts[1]}]
        assert [message["role"] for message in sent[texts[2]]] == ["system", "user"]
        assert result_of(tmp_path / "out")["accuracy"]["mean"] == 1.0
        assert result_of(tmp_path / "out")["verdicts"] is not None
        file.write_text(json.dumps([rows[0] | {"prompt": [{"role": "oracle", "content": "?"}, *rows[0]["prompt"]]}] * COUNT))
        assert "puzzle 0: a message of its prompt has the role 'oracle'" in run(file, url, tmp_path / "no").stderr
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text("chat_template_kwargs: {enable_thinking: false}\n")
        file.write_text(json.dumps(rows))
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        asked = ("openai/gpt-4o-mini", "--recipe", recipe, "--dataset", file, "--puzzles", 1, "--samples", 1)
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        done = bench(*asked, "--output", tmp_path / "api")
    assert "chat_template_kwargs {'enable_thinking': False}" in done.stdout
    assert "cannot reach openai/gpt-4o-mini" in done.stdout


def test_claude_gets_its_budget_and_its_thinking_is_no_answer(rows, dataset, tmp_path, bench, monkeypatch):
    known = by_prompt(rows)
    usage = {"input_tokens": 1000, "output_tokens": 300, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}

    def answer(prompt, _):
        row = known[prompt]
        first, second, false = sentences(row, right=2, wrong=1)
        thinking = f"{sheet(row)}\n{first}. {second}.\nSuppose {false}."
        return claude(thinking, f"{first}. {false}.\n{sheet(row, wrong=1) if rows.index(row) else 'Who knows.'}", usage)

    counted = []
    monkeypatch.setattr(tasks, "display_counter", lambda *shown: counted.append(shown))
    with openai_server(answer) as (server, url):
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url.removesuffix("/v1"))
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-none")
        asked = ("anthropic/claude-3-7-sonnet-latest", "--dataset", dataset, "--puzzles", 4, "--samples", 1)
        done = bench(*asked, "--output", tmp_path, "--reasoning-tokens", 16000)
    assert done.returncode == 0, done.stdout + done.stderr
    for request in server.requests:
        assert (request["thinking"]["budget_tokens"], request["max_tokens"]) == (16000, 16000 + 8192)
        assert "cache_control" not in request
    result = json.loads((tmp_path / "claude-3-7-sonnet-latest-16k" / "result.json").read_text())
    assert result["accuracy"]["mean"] == pytest.approx(np.mean([0, *(1 - 1 / len(row["solution"]) for row in rows[1:4])]))
    assert result["dollars"]["mean"] == pytest.approx((1000 * 3 + 300 * 15) / 1e6)
    assert counted == [("dollars", shown) for shown in ("0.01", "0.01", "0.02", "0.03")]  # while it ran
    # Deductions in the thinking count, and what it still supposes there does not affect the answer.
    assert result["verdicts"] == {"proved": 2 * 4, "refuted": 4, "undecided": 0, "timed out": 0}


def test_guessing_scores_at_the_level_of_chance(tmp_path, bench):
    count = 150
    recipe = ROOT / "recipes" / "tiny-cpu.yaml"
    done = bench("guess", "--recipe", recipe, "--puzzles", count, "--samples", 1, "--seed", 77, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "guess" / "result.json").read_text())
    expected = chance(fresh_puzzles(puzzles_of(recipe), 77, count))
    assert result["accuracy"]["low"] - 0.02 < expected < result["accuracy"]["high"] + 0.02
    assert result["best_of_k"] is result["pass_at_k"] is None  # with one sample each
    assert "best of" not in done.stdout


def test_the_address_of_a_server_may_end_in_any_path(rows, dataset, tmp_path, bench):
    known = by_prompt(rows)
    with openai_server(lambda prompt, _: reply(sheet(known[prompt])), path="/v1beta/openai") as (_, url):
        done = bench("tester", "--base-url", url, "--dataset", dataset, "--puzzles", "2", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert result_of(tmp_path / "out")["solved"]["mean"] == 1.0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("tester --base-url http://host:port/v1", "GET http://host:port/v1/models failed"),
        ("tester --base-url URL --dataset SHORT", "puzzle 0: its solution has 1 answers, and it asks"),
        ("tester --base-url URL --dataset NUMBERS", "row 0 is 1 instead of an object with a prompt and a solution"),
        ("tester --base-url URL --dataset NULL", "puzzle 0: the solution None is neither a list of answers nor a mapping"),
        ("tester --base-url URL --dataset SHEET", "puzzle 0: the solution 'A. Mrs. White' is neither a list of answers"),
        ("tester --base-url URL --dataset INDICES", "puzzle 0: the solution [0, 1] has the answer 0, which is not a text"),
        ("tester --base-url URL --dataset CONTRADICTORY", "puzzle 0: its clues contradict each other"),
        ("tester --base-url http://127.0.0.1:9/v1", "Is it an OpenAI-compatible server?"),
        ("other --base-url URL", "does not serve 'other', only tester"),
        ("tester --base-url URL --max-tokens 20000", "leaves no room for a prompt in the context of tester"),
        ("tester --base-url URL --puzzles 99", "has only 8"),
        ("tester --base-url URL --puzzles 0", "--puzzles 0: must be at least 1"),
        ("tester --base-url URL --dataset nowhere", "nowhere cannot be read"),
        ("tester --base-url URL --dataset BARE", "row 0 has no solution"),
        ("tester --base-url URL --recipe recipes/nix.yaml", "there is no file"),
        ("tester --base-url URL --prices BAD", "tester lacks cached, date, source"),
        ("tester --base-url URL --prices LIST", "list.yaml holds a list, not options: write one `name: value` a line"),
        ("tester --base-url URL --prices TEXT", "tester lacks cached, date, input, output, source"),
        ("tester --base-url URL --prices NEGATIVE", "tester has cached: -1; write dollars per million tokens, 0 or more"),
        ("tester --base-url URL --recipe LIST", "list.yaml holds a list, not options: write one `name: value` a line"),
        ("tester --base-url URL --recipe BROKEN", "broken.yaml is not YAML"),
        ("tester --base-url URL --max-retries -1", "--max-retries -1: must be at least 0"),
        ("tester --base-url URL --gpu-dollars -2", "--gpu-dollars -2.0: must be at least 0"),
        ("tester --base-url URL --temperature nan", "--temperature nan: must be at least 0"),
        ("anthropic/claude-3-7-sonnet-latest --reasoning-tokens 16000", "No ANTHROPIC_API_KEY"),
        ("openai/o3-mini --reasoning-effort high", "No OPENAI_API_KEY"),
        ("nowhere/model", "not recognized"),
        ("outputs/no-such-folder-here", "A model is a folder (there is none of this name)"),
    ],
)
def test_what_cannot_work_is_refused_and_leaves_nothing_behind(
    options, complaint, rows, dataset, tmp_path, monkeypatch, capsys
):
    for key in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.chdir(ROOT)
    files = {
        "bad.yaml": "tester: {input: 1, output: 2}",
        "negative.yaml": "tester: {input: 1, cached: -1, output: 2, source: here, date: 2026}",
        "text.yaml": "tester: cheap",
        "list.yaml": "- tester",
        "broken.yaml": "tester: [",
        "bare.json": '[{"prompt": "x"}, {"prompt": "y"}]',
        "numbers.json": "[1, 2]",
    }
    solutions = {"short": rows[0]["solution"][:1], "null": None, "sheet": "A. Mrs. White", "indices": [0, 1]}
    for name, solution in solutions.items():
        files[f"{name}.json"] = json.dumps([{**rows[0], "solution": solution}, rows[1]])
    text = rows[0]["prompt"][0]["content"]
    there, elsewhere = sentences(rows[0], 1, 1)
    clues = text.replace("\n- ", f"\n- {there}\n- {elsewhere}\n- ", 1)
    files["contradictory.json"] = json.dumps([{"prompt": clues, "solution": rows[0]["solution"]}] * 2)
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with openai_server(lambda *_: refusal(500, "nothing should be requested")) as (server, url):
        placeholders = {"URL": url} | {Path(name).stem.upper(): str(tmp_path / name) for name in files}
        given = [placeholders.get(word, word) for word in options.split()]
        base = ["benchmark.py", "--dataset", str(dataset), "--puzzles", "2", "--output", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", [*base, *given])
        with pytest.raises((SystemExit, ValueError)) as caught:
            benchmark.main(benchmark.arguments())
        assert complaint in str(caught.value) + capsys.readouterr().err
        assert server.prompts == []
    assert not list((tmp_path / "out").glob("*/*"))


@pytest.mark.slow
@needs_vllm
def test_a_checkpoint_served_with_vllm_scores_as_with_transformers(tmp_path):
    count, seed = 150, 20261123
    model = ROOT / "recipes" / "tiny" / "tiny-base"
    adapter = tmp_path / "adapter"
    lora = get_peft_model(AutoModelForCausalLM.from_pretrained(model), LoraConfig(r=8, target_modules="all-linear"))
    torch.manual_seed(0)
    for name, weight in lora.named_parameters():
        if "lora_B" in name:  # makes the model worse, which the score must show
            torch.nn.init.normal_(weight, std=0.2)
    lora.save_pretrained(adapter)
    sampling = ("--recipe", "recipes/tiny-cpu.yaml", "--puzzles", str(count), "--samples", "2", "--seed", str(seed))
    results = {}
    for folder in (model, adapter):
        options = (str(folder), *sampling, "--output", str(tmp_path / "out"), "--name", folder.name, "--gpu-dollars", "0.1")
        done = subprocess.run(
            [sys.executable, "recipes/evaluation/benchmark.py", *options], cwd=ROOT, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        results[folder.name] = json.loads((tmp_path / "out" / folder.name / "result.json").read_text())
    full = results["tiny-base"]
    rows = fresh_puzzles(puzzles_of(ROOT / "recipes" / "tiny-cpu.yaml"), seed, count)
    expected = score(model, rows, 0)
    half = (full["accuracy"]["high"] - full["accuracy"]["low"]) / 2
    assert abs(full["accuracy"]["mean"] - expected["sampled"]) < 1.5 * (half**2 + expected["sampled_interval"] ** 2) ** 0.5
    assert full["responses"]["answered"] == 2 * count
    assert 40 < full["completion_tokens"]["mean"] < 80
    assert full["dollars"]["mean"] == pytest.approx(0.1 / 3600 * full["seconds"] / (2 * count))
    assert results["adapter"]["accuracy"]["mean"] < full["accuracy"]["low"]
    assert not [
        p for p in psutil.process_iter(["cmdline"]) if "vllm.entrypoints.openai.api_server" in (p.info["cmdline"] or [])
    ]
