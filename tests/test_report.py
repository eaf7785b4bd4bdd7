"""The report: run logs over iterations, the Pareto frontier against brute force, and the same bytes each time."""

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, write_eval_log
from inspect_ai.model import ModelOutput

from puzzles.generator import generate
from puzzles.prompts import prompt
from puzzles.scenario import Size
from puzzles.sentences import render
from recipes import ROOT
from recipes.checkpoints import COMPLETE
from recipes.demonstrations import small_steps
from recipes.evaluation.logs import Run, benchmarks_by_puzzles
from recipes.evaluation.plots import cost_plot, difficulty_plot, frontier, length_plot
from recipes.evaluation.power_law import fit_power_law
from recipes.evaluation.report import benchmark_tables, describe_scores, describe_soundness, describe_unread, main

PUBLISHED = yaml.safe_load((ROOT / "recipes" / "evaluation" / "published.yaml").read_text())


def test_no_run_is_missing_however_many_there_are_and_a_mean_may_be_outside_its_interval_by_rounding():
    runs = [
        SimpleNamespace(name=f"run {i}", puzzles=64, samples=1, training_length={1: 40}, length={0: 41}, before={}, after={})
        for i in range(9)
    ]
    assert [line.get_label().partition(":")[0] for line in length_plot(runs).axes[0].lines][1::2] == [run.name for run in runs]
    mean, low, high = 0.4, 0.4 + 1e-16, 0.5
    assert low > mean
    rows = [
        {"name": f"model {i}", "by_difficulty": {"easy": {"n": 7, "mean": mean, "low": low, "high": high}}} for i in range(9)
    ]
    labels = [text.get_text() for text in difficulty_plot([], {"here": rows}).axes[0].get_legend().get_texts()]
    assert labels == [row["name"] for row in rows]
    cost = {"dollars": {"mean": mean, "low": low, "high": high}, "accuracy": {"mean": mean, "low": low, "high": high}}
    cost_plot(
        {"here": [row | cost for row in rows]}, {"date": "2025-03", "rows": [{"name": "R1", "dollars": 0.02, "accuracy": 0.5}]}
    )


def test_the_frontier_is_the_points_that_nothing_beats():
    rng = np.random.default_rng(3)
    for _ in range(50):
        points = [(float(c), float(a)) for c, a in rng.integers(1, 9, size=(rng.integers(1, 12), 2))]
        beaten = {p for p in points for q in points if q[0] <= p[0] and q[1] >= p[1] and q != p}
        assert set(frontier(points)) == set(points) - beaten
        assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(frontier(points)))
    names = {row["name"] for row in PUBLISHED["rows"] if (row["dollars"], row["accuracy"]) in frontier(
        [(row["dollars"], row["accuracy"]) for row in PUBLISHED["rows"]]
    )}  # fmt: skip
    assert "DeepSeek R1" not in names  # Sonnet 3.7 without thinking was better and cheaper
    assert "Claude Sonnet 3.7, 64k thinking" in names


def value(mean, n=128, puzzles=64):
    return {"mean": mean, "low": mean - 0.05, "high": mean + 0.05, "n": n, "puzzles": puzzles}


def write_row(folder, name, accuracy, dollars, digest="aaa", failed=0):
    bands = {"easy": value(accuracy), "medium": value(accuracy), "hard": {**value(0.0), "n": 0, "mean": None}}
    row = {
        "name": name,
        "puzzles": {"source": "outputs/x, test", "n": 64, "digest": digest},
        "responses": {"answered": 128 - failed, "truncated": 2, "refused": 0, "empty": 1, "failed": failed},
        **{key: value(accuracy) for key in ("accuracy", "published_accuracy", "solved")},
        "unread_answers": value(0.125),
        "by_difficulty": bands,
        "soundness": value(accuracy, n=400),
        "extracted": {"soundness": value(0.75, n=500)} if name == "theirs" else None,
        "completion_tokens": value(2000.0),
        "dollars": dollars and {"mean": dollars, "low": dollars * 0.9, "high": dollars * 1.1, "n": 128, "puzzles": 64},
    }
    if name == "free":  # from before deductions were judged, and unread answers counted
        del row["soundness"], row["extracted"], row["unread_answers"], row["responses"]["empty"]
    (folder / name).mkdir(parents=True)
    (folder / name / "result.json").write_text(json.dumps(row))


def write_run(folder, steps_per_iteration=5, iterations=40, deductions=True, samples=1):
    """The logs of a run of several optimizer steps per iteration, evaluated every second iteration."""
    rng = np.random.default_rng(0)
    logs = []
    for step in range(iterations * steps_per_iteration + 1):
        right = 0.3 * (step / steps_per_iteration + 1) ** 0.2
        if step % steps_per_iteration == 1:
            logs.append(
                {"step": step, "rewards/accuracy/mean": right + rng.normal(0, 0.02), "completions/mean_length": 900 + step}
            )
        if step % (2 * steps_per_iteration) == 0:
            bands = {f"eval_accuracy/{band}": right for band in ("easy", "medium")} | {"eval_accuracy_error/easy": 0.02}
            logs.append(
                {"step": step, "eval_rewards/accuracy/mean": right, "eval_completions/mean_length": 900 + step, **bands}
            )
            if samples > 1:
                best = {f"eval_best_of_{samples}": 0.84 - step / 4000, f"eval_pass_at_{samples}": 0.5 - step / 2000}
                logs[-1] |= {"eval_solved": step / 1000} | best
            if deductions:
                logs[-1] |= {"eval_unread_answers": 0.0 if step else 0.25}
                logs[-1] |= {"eval_soundness": 0.5 + step / 1000, "eval_deductions": 6 + step / 100}
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text(json.dumps({"log_history": logs}))
    (checkpoint / COMPLETE).touch()
    (folder / "run.json").write_text(json.dumps({"num_eval_puzzles": 64, "steps_per_iteration": steps_per_iteration}))


def test_iterations_are_generations_and_the_first_is_of_the_untrained_model(tmp_path):
    write_run(tmp_path / "run")
    run = Run(tmp_path / "run")
    assert list(run.accuracy)[:3] == [1, 3, 5]
    assert list(run.training_accuracy)[:3] == [1, 2, 3]
    assert list(run.training_accuracy)[-1] == 40
    assert list(run.accuracy)[-1] == 41
    law = fit_power_law(run.accuracy)
    assert (law["exponent"], law["c"]) == (pytest.approx(0.2), pytest.approx(0.3))
    assert run.before["easy"] == pytest.approx((0.3, 0.3 - 1.96 * 0.02, 0.3 + 1.96 * 0.02))
    assert run.before["medium"][1:] == (None, None)


def test_deductions_before_and_after_training_are_described_if_they_were_logged(tmp_path):
    write_run(tmp_path / "run")
    run = Run(tmp_path / "run")
    assert run.soundness == {"before": {"proved": 0.5, "stated": 6.0}, "after": {"proved": 0.7, "stated": 8.0}}
    assert describe_soundness(run).startswith("deductions proved: 0.50 → 0.70 (6.0 → 8.0 stated per completion; 64 held-out")
    write_run(tmp_path / "old", deductions=False)
    assert describe_soundness(Run(tmp_path / "old")) == "deductions proved: not logged"
    assert "answers unread: not logged → not logged" in describe_unread(Run(tmp_path / "old"))
    run.soundness["before"] = {"proved": None, "stated": 0.0}  # an untrained model that states nothing
    assert "proved: — → 0.70 (0.0 → 8.0 stated" in describe_soundness(run)


def test_the_best_of_several_samples_is_followed_over_training(tmp_path, monkeypatch, capsys):
    write_run(tmp_path / "run", samples=16)
    run = Run(tmp_path / "run")
    assert run.samples == 16
    assert (run.best_of[1], run.best_of[41]) == (0.84, pytest.approx(0.79))
    assert (run.pass_at[1], run.pass_at[41]) == (0.5, pytest.approx(0.4))
    assert run.solved[41] == 0.2
    line = (
        "best of 16: 0.84 → 0.79; pass@16: 0.50 → 0.40 (one sample: 0.30 → 0.63 of the answers right, 0.00 → 0.20 of the "
        "puzzles solved; 64 held-out puzzles)"
    )
    assert describe_scores(run)[0] == line
    report(tmp_path, "out", tmp_path / "run", monkeypatch)
    assert line in capsys.readouterr().out
    text = (tmp_path / "out" / "report.md").read_text()
    assert f"- {tmp_path / 'run'}: {line}\n" in text
    assert "![passk](passk.svg)" in text
    drawn = (tmp_path / "out" / "passk.svg").read_text()
    for label in ("best of 16", "answers right, mean", "pass@16", "puzzles solved, mean"):
        assert f"{label} -->" in drawn  # matplotlib draws letters as shapes and names each text in a comment
    found = json.loads((tmp_path / "out" / "report.json").read_text())[str(tmp_path / "run")]
    assert (found["samples"], found["best_of"][0], found["pass_at"][1]) == (16, 0.84, pytest.approx(0.4))

    write_run(tmp_path / "one")
    assert not any("best of" in line for line in describe_scores(Run(tmp_path / "one")))
    report(tmp_path, "out", tmp_path / "one", monkeypatch)
    assert not list((tmp_path / "out").glob("passk.*"))
    assert "best of" not in (tmp_path / "out" / "report.md").read_text()


def test_a_table_has_the_largest_k_of_its_rows(tmp_path):
    for name, accuracy, ks in (("eight", 0.5, (1, 2, 4, 8)), ("two", 0.6, (1, 2)), ("one", 0.4, ())):
        write_row(tmp_path, name, accuracy, None)
        row = json.loads((file := tmp_path / name / "result.json").read_text())
        best = {"best_of_k": {k: value(0.5 + k / 40) for k in ks}, "pass_at_k": {k: value(k / 40) for k in ks}} if ks else {}
        file.write_text(json.dumps(row | (best or {"best_of_k": None, "pass_at_k": None})))
    header, _, two, eight, one = benchmark_tables(benchmarks_by_puzzles(tmp_path), PUBLISHED).splitlines()[2:7]
    assert "| solved | best of 8 | pass@8 | deductions proved |" in header
    assert "| 0.700 (0.650 to 0.750) | 0.200 (0.150 to 0.250) |" in eight
    assert "| 0.600 (0.550 to 0.650) | — | — | 0.600 (0.550 to 0.650) of 400 |" in two
    assert "| — | — |" in one


def options(tmp_path, output, run):
    folders = {"--benchmark": tmp_path / "benchmark", "--output": tmp_path / output, "--run": run}
    return ["recipes/evaluation/report.py", *(str(part) for pair in folders.items() for part in pair)]


def report(tmp_path, output, run, monkeypatch):
    monkeypatch.setattr(sys, "argv", options(tmp_path, output, run))
    main()


def test_a_report_repeats_to_the_byte_and_keeps_different_puzzles_apart(tmp_path, monkeypatch):
    write_run(tmp_path / "run")
    for name, accuracy, dollars, digest in (
        ("ours", 0.6, 0.001, "aaa"),
        ("theirs", 0.7, 0.1, "aaa"),
        ("free", 0.5, None, "bbb"),
    ):
        write_row(tmp_path / "benchmark", name, accuracy, dollars, digest, failed=3 if name == "theirs" else 0)
    report(tmp_path, "1", tmp_path / "run", monkeypatch)
    again = [sys.executable, *options(tmp_path, "2", tmp_path / "run")]  # with another hash seed
    assert subprocess.run(again, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "1"}).returncode == 0
    files = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert files == sorted(
        [f"{name}.{kind}" for name in ("accuracy", "cost", "difficulty", "length") for kind in ("svg", "png")]
        + ["report.html", "report.md", "report.json"]
    )
    for name in files:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name
    text = (tmp_path / "1" / "report.md").read_text()
    sections = text.split("**")[1::2]
    assert sections == ["Measured", "Measured", "Published"]
    measured, published = text.split("**Published**")
    assert "Sonnet" not in measured
    assert "ours" not in published.partition("![")[0]
    assert measured.index("theirs") < measured.index("ours")  # the best first
    assert "2 truncated, 1 empty, 3 failed" in measured
    assert "| theirs | 0.700 (0.650 to 0.750) | 0.125 (0.075 to 0.175) |" in measured
    assert "| free | 0.500 (0.450 to 0.550) | — |" in measured  # from before they were counted
    assert f"- {tmp_path / 'run'}: answers unread: 0.250 → 0.000 (share of the questions of 64 held-out puzzles)" in text
    assert "0.700 (0.650 to 0.750)" in measured
    assert "| 0.700 (0.650 to 0.750) of 400; extracted 0.750 (0.700 to 0.800) of 500 |" in measured
    assert "| 0.600 (0.550 to 0.650) of 400 |" in measured
    widths = {line.count("|") for line in measured.splitlines() if line.startswith("|")}
    assert len(widths) == 1
    for when, count in (("before", "1 of 6"), ("after", "6 of 7")):
        assert f"| the trained model, {when} training | — | {count}, judged by a stronger model | — |" in published
    assert f"- {tmp_path / 'run'}: deductions proved: 0.50 → 0.70" in text
    found = json.loads((tmp_path / "1" / "report.json").read_text())[str(tmp_path / "run")]
    assert found["exponent"] == pytest.approx(0.2)
    assert found["soundness"]["after"] == {"proved": 0.7, "stated": 8.0}


def test_a_report_names_what_is_missing(tmp_path, monkeypatch, capsys):
    write_run(tmp_path / "run")
    report(tmp_path, "out", tmp_path / "run", monkeypatch)
    assert "There is no benchmark in" in capsys.readouterr().out
    with pytest.raises(SystemExit) as refused:
        report(tmp_path, "out", tmp_path / "nowhere", monkeypatch)
    assert refused.value.code == 2
    assert "nowhere holds no complete checkpoint" in capsys.readouterr().err
    assert benchmarks_by_puzzles(tmp_path / "nowhere") == {}
    assert "DeepSeek R1" in benchmark_tables({}, PUBLISHED)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda row: "{", "is not JSON"),
        (lambda row: "[]", "holds [] instead of a JSON object"),
        (lambda row: json.dumps({key: row[key] for key in row if key != "accuracy"}), "lacks accuracy.n"),
        (lambda row: json.dumps(row | {"puzzles": {"n": 64}}), "lacks puzzles.source"),
        (lambda row: json.dumps(row | {"accuracy": 0.5}), "lacks accuracy.n"),
    ],
)
def test_a_damaged_result_is_named_with_the_fix(tmp_path, monkeypatch, capsys, damage, complaint):
    write_run(tmp_path / "run")
    for name in ("sound", "torn"):
        write_row(tmp_path / "benchmark", name, 0.6, 0.001)
    file = tmp_path / "benchmark" / "torn" / "result.json"
    file.write_text(damage(json.loads(file.read_text())))
    with pytest.raises(SystemExit) as refused:
        report(tmp_path, "out", tmp_path / "run", monkeypatch)
    assert refused.value.code == 2
    printed = capsys.readouterr().err
    assert f"{file} {complaint}" in printed
    assert "Run that benchmark again, which requests nothing that its logs hold, or delete the file." in printed
    assert not (tmp_path / "out").exists()


def write_log(folder, completions):
    """A benchmark's log, of prompt → completion."""
    spec = EvalSpec(created="2026-11-26", task="t", dataset=EvalDataset(), model="m", config=EvalConfig())
    samples = [
        EvalSample(id=i, epoch=1, input=asked, target="", output=ModelOutput.from_content("m", text))
        for i, (asked, text) in enumerate(completions.items())
    ]
    write_eval_log(EvalLog(eval=spec, samples=samples), str(folder / "logs" / "log.eval"))


def test_the_page_has_all_plots_in_it_and_the_same_puzzles_before_and_after_training(tmp_path, monkeypatch, capsys):
    write_run(tmp_path / "run")
    record = tmp_path / "run" / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"model_name_or_path": "org/base"}))
    cases = [generate(20261126, i, Size(3, 2, 3, 1, 0)) for i in range(12)]
    proofs = {
        prompt(case.puzzle): "\n".join(f"{render(s.statement, case.puzzle.setting)}." for s in small_steps(case))
        for case in cases
    }
    for name, model, completions in (
        ("base", "vllm/org/base", dict.fromkeys(proofs, "Who knows? <script>")),
        ("mine", str(tmp_path / "run" / "model"), dict(reversed(proofs.items()))),
        ("other", "org/other", dict.fromkeys(proofs, "Not shown.")),
    ):
        write_row(tmp_path / "benchmark", name, 0.6, None)
        file = tmp_path / "benchmark" / name / "result.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"model": model}))
        write_log(file.parent, completions)
    report(tmp_path, "out", tmp_path / "run", monkeypatch)
    page = (tmp_path / "out" / "report.html").read_text()
    assert str(tmp_path / "out" / "report.html") in capsys.readouterr().out
    articles = page.split("<article>")[1:]
    assert len(articles) == 10
    for article in articles:
        before, after = article.split("<section>")[1:]
        assert "<h3>Before training: base</h3>" in before
        assert "&lt;script&gt;" in before
        assert 'class="line proved"' not in before
        assert "<h3>After: mine</h3>" in after
        assert after.count('class="line proved"') > after.count('class="line refuted"') == 0
    assert "<script" not in page
    assert "Not shown" not in page
    assert "<td>mine</td>" in page
    sources = re.findall(r'(?:src|href)="([^"]{,30})', page)
    assert len(sources) == 1 + 4  # the icon, accuracy, length, difficulty, cost
    assert all(source.startswith("data:") for source in sources)

    (tmp_path / "benchmark" / "mine" / "logs" / "log.eval").write_text("no zip")
    with pytest.raises(SystemExit):
        report(tmp_path, "no", tmp_path / "run", monkeypatch)
    assert "log.eval is not an Inspect log" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("run.json", {}, "run.json lacks num_eval_puzzles, steps_per_iteration: it is not of recipes/grpo.py"),
        ("trainer_state.json", {}, "trainer_state.json has no log_history: it is not the state of a training run"),
        ("trainer_state.json", {"log_history": [{"step": 1, "loss": 0.5}]}, "has not been evaluated on held-out puzzles yet"),
    ],
)
def test_a_run_of_another_kind_or_without_an_evaluation_is_named(tmp_path, monkeypatch, capsys, name, content, complaint):
    write_run(tmp_path / "run")
    (tmp_path / "run" / name).write_text(json.dumps(content))
    with pytest.raises(SystemExit) as refused:
        report(tmp_path, "report", tmp_path / "run", monkeypatch)
    assert refused.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("output", ["file", "file/below"])
def test_an_output_that_cannot_be_a_folder_is_named(tmp_path, monkeypatch, capsys, output):
    write_run(tmp_path / "run")
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SystemExit) as refused:
        report(tmp_path, output, tmp_path / "run", monkeypatch)
    assert refused.value.code == 2
    assert f"--output {tmp_path / output} cannot be a folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"
