"""Nights: what the rules promise, at any size, the same on every machine."""

import os
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.scenario import BODDY, Size, night, published_size

SIZES = st.builds(
    lambda suspects, weapons, rooms, times, motives: Size(suspects, weapons, rooms, times, min(motives, suspects)),
    st.integers(2, 6),
    st.integers(2, 5),
    st.integers(3, 9),
    st.integers(1, 5),
    st.sampled_from([0, 2, 3, 6]),
)


@settings(deadline=None)
@given(st.integers(0, 10**6), SIZES)
def test_a_night_keeps_the_rules(seed, size):
    n = night(seed, 0, size)
    s = n.setting
    assert (len(s.suspects), len(s.weapons), len(s.rooms), len(s.times), len(s.motives)) == tuple(vars(size).values())
    assert sum(s.motive_counts.values()) in (0, size.suspects)
    for motive, count in s.motives:
        assert list(n.motive.values()).count(motive) == count > 0
    assert [x for x in s.suspects if n.place[x, n.time] == n.room] == [n.murderer]
    assert n.place[n.weapon, n.time] == n.place[BODDY, n.time] == n.room
    for before, time in zip(s.times, s.times[1:], strict=False):
        for piece in s.pieces:
            here, there = n.place[piece, before], n.place[piece, time]
            assert there == here or there in s.neighbours(here)
            if piece in s.weapons and here != there:
                assert any((n.place[x, before], n.place[x, time]) == (here, there) for x in s.suspects)
    for time in s.times[s.times.index(n.time) :]:
        assert n.place[BODDY, time] == n.room


def test_the_same_address_gives_the_same_night_under_another_hash_seed():
    code = "from puzzles.generate import generate; print([generate(5, i).puzzle for i in range(4)])"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": h}, capture_output=True, text=True, check=True
        ).stdout
        for h in ("0", "1")
    }
    assert len(outputs) == 1
    assert night(5, 0) != night(5, 1) != night(6, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("suspects", 1),
        ("suspects", 11),
        ("weapons", 0),
        ("rooms", 18),
        ("times", 0),
        ("times", 25),
        ("motives", 1),
        ("motives", 4),
    ],
)
def test_impossible_sizes_are_named(field, value):
    with pytest.raises(ValueError, match=f"{field}={value} is impossible"):
        Size(**{field: value})


def test_a_crowd_that_never_leaves_one_alone_is_reported(monkeypatch):
    monkeypatch.setattr("puzzles.scenario._murder", lambda *_: None)
    with pytest.raises(ValueError, match=r"no murder was possible .*more rooms"):
        night(0, 0, Size(2, 2, 2, 1, 0))


def test_the_published_mix_spans_the_published_sizes():
    sizes = [published_size(random.Random(i)) for i in range(3000)]
    assert {s.suspects for s in sizes} == set(range(2, 11))
    assert {s.weapons for s in sizes} == set(range(2, 9))
    assert (min(s.rooms for s in sizes), max(s.rooms for s in sizes)) == (2, 17)
    assert {s.times for s in sizes} == set(range(1, 13))
    assert all(s.suspects == 2 and s.rooms <= 3 for s in (published_size(random.Random(i), (1, 1)) for i in range(50)))
    with pytest.raises(ValueError, match=r"players=\(0, 7\)"):
        published_size(random.Random(0), (0, 7))


def test_times_are_clock_labels_around_midnight():
    labels = {night(0, i, Size(times=4)).setting.times for i in range(200)}
    assert ("11:00 PM", "12:00 AM", "01:00 AM", "02:00 AM") in labels
    assert ("11:30 PM", "11:45 PM", "12:00 AM", "12:15 AM") in labels
    assert all("12:00 AM" in times and len(set(times)) == 4 for times in labels)
    assert night(0, 0, Size(times=1)).setting.times == ("12:00 AM",)
