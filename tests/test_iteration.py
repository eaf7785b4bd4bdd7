"""The benchmark of an iteration: its clocks, its figures, and a real iteration of the tiny model, stock and packed."""

import time
from types import SimpleNamespace

from benchmarks import iteration
from benchmarks.iteration import PARTS, Stopwatch, report, result
from puzzles.files import read_yaml

TINY = "recipes/tiny/tiny-base"


def test_a_part_within_another_stops_its_clock(monkeypatch):
    now = [0]

    def work(seconds):
        now[0] += seconds

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    watch, owner = Stopwatch(), SimpleNamespace(inner=lambda: work(4))
    owner.outer = lambda: (work(1), owner.inner(), work(1))
    watch.time("generation", owner, "inner")
    watch.time("preparing rows", owner, "outer")
    for step in range(2):  # of one iteration
        watch.on_step_begin(None, SimpleNamespace(global_step=step), None)
        owner.outer()
        work(3)
    watch.on_train_end(None, None, None)
    (found,) = watch.iterations
    assert found["seconds"] == dict.fromkeys(PARTS, 0) | {"generation": 8, "preparing rows": 4, "optimizer steps": 6}


def test_the_ratio_is_of_what_is_not_generation():
    def run(generation, step, completions):
        seconds = dict.fromkeys(PARTS, 0.0) | {"generation": generation, "optimizer steps": step}
        tokens = dict.fromkeys(PARTS, 0) | {"optimizer steps": 100}
        return {"seconds": seconds, "tokens": tokens, "completion_tokens": completions, "vllm": True}

    found = result("a/model", run(10.0, 8.0, 50), run(10.0, 2.0, 51))
    assert (found["ratio"], found["ratio_with_generation"]) == (4.0, 1.5)
    assert found["rows"][4] == {"part": "optimizer steps", "stock_s": 8.0, "ours_s": 2.0}
    assert "NOT the same completions: 50 and 51 tokens" in report(found)
    assert "4.0×" in report(found)


def test_both_run_the_same_iteration_and_packing_computes_fewer_tokens(monkeypatch):
    short = read_yaml(iteration.RECIPE) | {"max_completion_length": 16, "bf16": False}
    monkeypatch.setattr(iteration, "read_yaml", lambda file: short)
    monkeypatch.setattr(iteration, "find_spec", lambda name: None)
    size = {"model": TINY, "prompts": 1, "samples": 8, "rows": 4, "repeats": 1}
    stock, ours = (iteration.iteration(**size, packed=packed) for packed in (False, True))
    assert stock["completion_tokens"] == ours["completion_tokens"] > 0
    for part in ("old log-probabilities", "optimizer steps"):
        assert stock["tokens"][part] > 2 * ours["tokens"][part] > 0
    for found in (stock, ours):
        assert all(found["seconds"][part] > 0 for part in PARTS if part != "weight sync")
        assert found["seconds"]["weight sync"] == 0
    assert "the same completions" in report(result(TINY, stock, ours))
