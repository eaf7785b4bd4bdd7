"""Nights keep the rules at any size, and are the same on every machine."""

import os
import random
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.generator import generate
from puzzles.scenario import BODDY, Setting, Size, night, published_size

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
    """The hash seed of this process is random."""
    code = "from puzzles.generator import generate; print([generate(5, i).puzzle for i in range(4)])"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == f"{[generate(5, i).puzzle for i in range(4)]}\n"
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
def test_impossible_sizes_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}={value} is impossible"):
        Size(**{field: value})


SETTING = Setting(
    suspects=("Mr. Green", "Mrs. White", "Miss Peach"),
    weapons=("Rope", "Knife"),
    rooms=("Hall", "Study", "Lounge"),
    columns=2,
    times=("11:30 PM", "12:00 AM", "12:30 AM"),
    motives=(("Fear", 2), ("Pride", 1)),
)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"suspects": ("Mr. Green", "Mrs. White", "Mr. Green")}, "'Mr. Green' is the name of two"),
        ({"suspects": ("Mr. Green", "Mrs. White", "mr. green")}, "'mr. green' is the name of two"),
        ({"suspects": ("Mr. Green", "Mrs. White", "Mr. Boddy")}, "'Mr. Boddy' is the name of two"),
        ({"weapons": ("Rope", "Mrs. White")}, "'Mrs. White' is the name of two"),
        ({"weapons": ("Rope", "Rope")}, "'Rope' is the name of two"),
        ({"weapons": ("Rope",)}, "weapons=1 is impossible"),
        ({"rooms": ("Hall", "Study", "Hall")}, "'Hall' is the name of two"),
        ({"rooms": ("Hall", "Study", "Rope")}, "'Rope' is the name of two"),
        ({"motives": (("Fear", 2), ("Fear", 1))}, "'Fear' is the name of two"),
        ({"motives": (("Fear", 2), ("Hall", 1))}, "'Hall' is the name of two"),
        ({"motives": (("Fear", 2), ("Pride", 2))}, "Fear 2, Pride 2. do not add up to the 3 suspects"),
        ({"motives": (("Fear", 3), ("Pride", 0))}, "Fear 3, Pride 0. do not add up"),
        ({"motives": (("Fear", 3),)}, "motives=1 is impossible"),
        ({"columns": 0}, "a floor plan of 0 columns does not fit 3 rooms"),
        ({"columns": 4}, "a floor plan of 4 columns does not fit 3 rooms"),
        ({"times": ("11:30 PM", "12:00 AM", "12:00 AM")}, "are not evenly"),
        ({"times": ("12:00 AM", "11:30 PM", "12:30 AM")}, "are not evenly"),
        ({"times": ("11:30 PM", "12:00 AM", "01:00 AM")}, "are not evenly"),
        ({"times": ("11:30 PM", "11:50 PM")}, "are not evenly 15, 30 or 60 minutes apart"),
        ({"times": ("11:30 PM", "00:00 AM")}, "'00:00 AM' is not a time such as 11:30 PM"),
        ({"times": ("11:30 PM", "midnight")}, "'midnight' is not a time"),
    ],
)
def test_an_inconsistent_setting_is_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        replace(SETTING, **change)


def test_a_night_may_span_a_full_day():
    assert len(set(night(0, 0, Size(times=24)).setting.times)) == 24


def test_a_mansion_too_crowded_for_a_murder_is_reported(monkeypatch):
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
