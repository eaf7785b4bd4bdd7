"""Renamed puzzles have the same split fingerprint; other puzzles do not."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from puzzles.clues import At, Beside, Iff, Or, facts
from puzzles.fingerprint import split_fingerprint
from puzzles.generator import generate
from puzzles.scenario import MOTIVES, ROOMS, SUSPECTS, WEAPONS, Size
from tests.test_scenario import SIZES


def renamed(setting, statements, rng):
    """The same puzzle under other names, with suspects, weapons, motives and statements in another order."""
    name = {time: f"{i + 1:02d}:07 AM" for i, time in enumerate(setting.times)}
    pools = ((setting.suspects, SUSPECTS), (setting.weapons, WEAPONS), (setting.rooms, ROOMS), (setting.motive_names, MOTIVES))
    for names, pool in pools:
        name |= dict(zip(names, rng.sample(pool, len(names)), strict=True))

    def translated(value):
        return name.get(value, value) if isinstance(value, str) else rename(value)

    def rename(statement):
        values = {field: translated(value) for field, value in vars(statement).items()}
        if isinstance(statement, (Or, Iff)) and rng.random() < 0.5:
            values = {"first": values["second"], "second": values["first"]}
        return type(statement)(**values)

    def shuffled(items):
        return tuple(rng.sample(items, len(items)))

    other = replace(
        setting,
        suspects=shuffled([name[x] for x in setting.suspects]),
        weapons=shuffled([name[x] for x in setting.weapons]),
        rooms=tuple(name[x] for x in setting.rooms),
        times=tuple(name[x] for x in setting.times),
        motives=shuffled([(name[motive], count) for motive, count in setting.motives]),
    )
    return other, list(shuffled([rename(statement) for statement in statements]))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), SIZES)
def test_renaming_keeps_the_fingerprint(seed, size):
    case, rng = generate(seed, 0, size), random.Random(seed)
    s = case.puzzle.setting
    for statements in (list(case.puzzle.clues), facts(case.night)):
        assert split_fingerprint(s, statements) == split_fingerprint(*renamed(s, statements, rng))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), SIZES, st.data())
def test_another_clue_changes_the_fingerprint(seed, size, data):
    case = generate(seed, 0, size)
    s, clues = case.puzzle.setting, list(case.puzzle.clues)
    assert split_fingerprint(s, clues[1:]) != split_fingerprint(s, clues)
    places = [i for i, clue in enumerate(clues) if isinstance(clue, At)]
    if places:
        i = data.draw(st.sampled_from(places))
        elsewhere = data.draw(st.sampled_from([room for room in s.rooms if room != clues[i].room]))
        assert split_fingerprint(s, [*clues[:i], replace(clues[i], room=elsewhere), *clues[i + 1 :]]) != split_fingerprint(
            s, clues
        )


def test_names_are_told_apart_by_statements_about_other_names():
    """Scarlet is north of Green, who is north of the Rope, or north of the Knife, which is elsewhere: two different nights."""
    s = generate(7, 0, Size(3, 3, 6, 1, 0)).puzzle.setting
    (a, b, _), (w, v, _), (time,) = s.suspects, s.weapons, s.times
    chain = [Beside(a, "north", b, time), Beside(b, "north", w, time), At(w, s.rooms[4], time), At(v, s.rooms[0], time)]
    broken = [Beside(a, "north", b, time), Beside(b, "north", v, time), At(w, s.rooms[4], time), At(v, s.rooms[0], time)]
    assert split_fingerprint(s, chain) != split_fingerprint(s, broken)
