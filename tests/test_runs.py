"""Running the parts of a run, and scoring the models that come out."""

import json
import os
import subprocess
import sys
from functools import partial

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from puzzles.files import lock_folder
from recipes import ROOT
from recipes.arguments import puzzles_of
from recipes.data import fresh_puzzles
from recipes.runs import generate_with_transformers, run_parts, score, seconds_of
from tests.test_rehearsal import needs_vllm

BASE = ROOT / "recipes" / "tiny" / "tiny-base"


@pytest.fixture(scope="module")
def rows():
    return fresh_puzzles(puzzles_of(ROOT / "recipes" / "tiny-cpu.yaml"), 5, 6)


def test_finished_parts_are_skipped_and_a_failed_one_stops_the_others(tmp_path, capfd):
    write = "from pathlib import Path; import os; Path({!r}).open('a').write(os.environ['OMP_NUM_THREADS'])"
    parts = {name: ("-c", write.format(str(tmp_path / name))) for name in ("one", "two")}
    run_parts(tmp_path / "run", parts, threads=2)
    run_parts(tmp_path / "run", parts, threads=2)
    assert [(tmp_path / name).read_text() for name in ("one", "two")] == ["2", "2"]
    assert json.loads((tmp_path / "run" / "two.json").read_text())["seconds"] > 0
    with pytest.raises(SystemExit, match=r"one was finished with other options \(.* pass\): .* delete .*run to start anew"):
        run_parts(tmp_path / "run", {"three": ("-c", write.format(str(tmp_path / "three"))), "one": ("-c", "pass")})
    assert not (tmp_path / "three").exists()
    lock = lock_folder(tmp_path / "run")
    with pytest.raises(SystemExit, match=f"run is in use by process {os.getpid()}: wait for it, or end it"):
        run_parts(tmp_path / "run", {"three": ("-c", write.format(str(tmp_path / "three")))})
    assert not (tmp_path / "three").exists()
    os.close(lock)
    parts = {"waits": ("-c", "import time; time.sleep(60)"), "fails": ("-c", "exit(3)")}
    with pytest.raises(SystemExit, match=r"fails did not finish \(.*fails.log\)\. Run the same command to resume"):
        run_parts(tmp_path / "run", parts)
    assert not (tmp_path / "run" / "waits.json").exists()


def test_a_part_that_was_finished_with_other_settings_in_its_recipe_is_refused(tmp_path, monkeypatch, capfd):
    """Not its old result, as if it had been made with the new settings. A comment changes none."""
    monkeypatch.setattr("recipes.runs.ROOT", tmp_path)
    (tmp_path / "recipes").mkdir()
    recipe, parts = tmp_path / "recipes" / "small.yaml", {"GRPO": ("-c", "pass", "--config", "recipes/small.yaml")}
    recipe.write_text("learning_rate: 1.0e-3\nseed: 1\n")
    run_parts(tmp_path / "run", parts)
    recipe.write_text("learning_rate: 1.0e-3 # as before\nseed: 1\n")
    run_parts(tmp_path / "run", parts)
    assert "GRPO was finished earlier" in capfd.readouterr().out
    recipe.write_text("learning_rate: 2.0e-3\nseed: 1\nbeta: 0.1\n")
    changed = (
        r"\(learning_rate in recipes/small.yaml beta in recipes/small.yaml\): give the same ones, or delete .*run to start"
    )
    with pytest.raises(SystemExit, match=f"GRPO was finished with other options {changed}"):
        run_parts(tmp_path / "run", parts)
    recipe.write_text("learning_rate: [")
    with pytest.raises(SystemExit, match=r"small\.yaml is not YAML"):
        run_parts(tmp_path / "run", parts)


def test_the_seconds_of_interrupted_attempts_count(tmp_path):
    fail_once = "import os, sys, time; time.sleep(1); f = {!r}; done = os.path.exists(f); open(f, 'w'); sys.exit(not done)"
    parts = {"part": ("-c", fail_once.format(str(tmp_path / "tried"))), "other": ("-c", "import time; time.sleep(30)")}
    with pytest.raises(SystemExit, match="part did not finish"):
        run_parts(tmp_path / "run", parts)
    assert 1 <= seconds_of(tmp_path / "run", "other.unfinished") < 30
    del parts["other"]
    run_parts(tmp_path / "run", parts)
    assert seconds_of(tmp_path / "run", "part") >= 2
    assert not (tmp_path / "run" / "part.unfinished.json").exists()


def test_tokens_end_with_the_end_of_the_text_even_where_padding_is_the_same_token(tmp_path, rows):
    """As with SmolLM2, whose padding is its end of text."""
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    AutoModelForCausalLM.from_pretrained(BASE).save_pretrained(tmp_path / "same")
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(tmp_path / "same")
    expected, same = score(BASE, rows, 0, samples=4), score(tmp_path / "same", rows, 0, samples=4)
    assert same["sampled_tokens"] == pytest.approx(expected["sampled_tokens"], rel=0.1)
    assert same["greedy"] == expected["greedy"]
    assert {"best_of_4", "pass_at_4", "sampled_solved", "greedy_solved", "sampled_unread_answers"} <= set(same)
    assert 0 <= same["sampled_unread_answers"] < 0.1 < same["sampled_soundness"]


def test_the_number_generated_at_once_changes_no_greedy_answer(rows):
    two_at_once = partial(generate_with_transformers, at_once=2)
    assert score(BASE, rows, 0, samples=2, generate=two_at_once)["greedy"] == score(BASE, rows, 0, samples=2)["greedy"]


@pytest.mark.slow
@needs_vllm
def test_vllm_writes_what_transformers_writes(rows):
    """The same greedy completions in float32, and as many samples as asked for, not all alike."""
    code = (
        "import json, sys; from pathlib import Path; from recipes import vllm_cpu\n"
        "vllm_cpu.has_bfloat16 = lambda: False\n"
        "base, prompts = Path(sys.argv[1]), json.load(sys.stdin)\n"
        "print(json.dumps([vllm_cpu.generate_with_vllm(base, prompts, 0, samples, 160) for samples in (0, 4)]))"
    )
    prompts = [*rows["prompt"]]
    options = {"cwd": ROOT, "input": json.dumps(prompts), "capture_output": True, "text": True, "timeout": 600}
    done = subprocess.run([sys.executable, "-c", code, str(BASE)], **options)
    assert done.returncode == 0, done.stderr[-4000:]
    greedy, sampled = json.loads(done.stdout.splitlines()[-1])
    assert greedy == [*generate_with_transformers(BASE, prompts, 0, 0, 160)]
    assert len(sampled[0]) == 4 * len(prompts)
    assert len({*sampled[0]}) > len(prompts)
