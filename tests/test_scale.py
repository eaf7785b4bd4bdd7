"""An iteration on many GPUs, on paper: the arithmetic by hand, and the tables in the documentation."""

import pytest

from recipes import ROOT
from recipes.planner import scale
from recipes.planner.scale import Scale, quantile_lengths
from tests import in_process


def test_lengths_are_log_normal_with_a_tail():
    lengths = quantile_lengths(1600, 8192)
    assert lengths == sorted(lengths)
    assert sum(lengths) / len(lengths) == pytest.approx(scale.MEAN, rel=0.02)
    assert lengths[-1] == 8192
    assert lengths[800] == pytest.approx(871, rel=0.01)  # 1,200 · exp(−0.8² / 2)
    assert 2 <= sum(n == 8192 for n in lengths) <= 6  # 0.26 %


def test_weights_are_gathered_over_nvlink_and_then_over_the_network():
    one, two, many = (Scale("qwen2.5-14b", gpus) for gpus in (8, 16, 1024))
    size = 2 * one.parameters.total
    assert size == pytest.approx(29.54e9, rel=0.001)
    assert one.gather(1) == pytest.approx(size * 7 / 8 / 360e9 + 295.4 * 7 * 3.4e-6, rel=0.001)
    assert two.gather(3) == pytest.approx(3 * (size * 15 / 16 / 320e9 + 295.4 * (14 * 3.4e-6 + 9.6e-6)), rel=0.001)
    slow = Scale("qwen2.5-14b", 16, network=100e9)
    assert slow.gather(1) - two.gather(1) == pytest.approx(size * 15 / 16 * (1 / 80e9 - 1 / 320e9))
    assert many.gather(1) > 10 * one.gather(1)  # latency


def test_the_longest_completion_bounds_generation_and_training():
    scales = {gpus: Scale("qwen2.5-14b", gpus) for gpus in (8, 64, 256)}
    longest = 8192 * (scale.DECODING + 2 * scales[8].parameters.total / scale.READ / 4)
    for of in scales.values():
        assert of.generation(1600) > longest
    assert scales[256].generation(1600) < 1.1 * longest
    training = {gpus: of.forward(320, 5, 8, 3) for gpus, of in scales.items()}
    assert training[8] > 5 * training[64]
    assert training[256] == pytest.approx(training[64], rel=0.01)
    assert not Scale("qwen2.5-32b", 8).fits()
    assert Scale("qwen2.5-32b", 16).fits()


def test_the_tables_of_the_documentation_are_these(tmp_path):
    """If this fails: make plan-scale, and put its tables into docs/training.md."""
    done = in_process.run(scale.main, "--picture", tmp_path / "scale.svg")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| qwen")]
    assert len(rows) == 16
    text = (ROOT / "docs" / "training.md").read_text()
    assert [row for row in rows if row not in text] == []
    assert (tmp_path / "scale.svg").stat().st_size > 10_000


def test_a_network_that_is_none_is_refused(tmp_path):
    done = in_process.run(scale.main, "--network", "0", "--picture", tmp_path / "scale.svg")
    assert done.returncode == 2
    assert "--network 0 is impossible: give GB/s, above 0." in done.stderr
