"""The night: who and what is in Tudor Mansion, and what happened there.

A `Setting` is what the detective knows from the start (people, weapons, rooms on a grid, times, motives); a `Night` is what
happened. `night(seed, index, size)` is a pure function: the same arguments give the same night on every machine, for any
PYTHONHASHSEED, because every choice is drawn from one `random.Random` over ordered sequences.

The names, the mix of sizes, the movement probabilities and the grid shapes are those of the published experiment.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

SUSPECTS = (
    *("Miss Scarlet", "Mr. Green", "Mrs. White", "Mrs. Peacock", "Colonel Mustard"),
    *("Professor Plum", "Miss Peach", "Sgt. Gray", "Monsieur Brunette", "Madame Rose"),
)
WEAPONS = ("Candlestick", "Knife", "Lead Pipe", "Revolver", "Rope", "Wrench", "Horseshoe", "Poison")
ROOMS = (
    *("Hall", "Lounge", "Dining Room", "Kitchen", "Ballroom", "Conservatory", "Billiard Room", "Library", "Study"),
    *("Carriage House", "Cloak Room", "Trophy Room", "Drawing Room", "Gazebo", "Courtyard", "Fountain", "Studio"),
)
MOTIVES = ("Revenge", "Jealousy", "Greed", "Power", "Hatred", "Anger", "Fear", "Ambition", "Betrayal", "Pride")
BODDY = "Mr. Boddy"
# References to a piece that the detective has to identify. A motive's name is one too: "a suspect motivated by it".
MURDERER, MURDER_WEAPON = "the murderer", "the murder weapon"

STEP_PROBABILITY = 0.5  # a person walks to a neighbouring room between two times
CARRY_PROBABILITY = 0.8  # a suspect who walks takes the weapon along
SPACINGS = (15, 30, 60)  # minutes between two times
DIRECTIONS = {"north": (-1, 0), "south": (1, 0), "east": (0, 1), "west": (0, -1)}  # (row, column) steps


@dataclass(frozen=True)
class Size:
    """How large a puzzle is.

    Args:
        motives: 0 leaves motives out, fewer than suspects means that some are shared, None means one for each suspect.

    Raises:
        ValueError: if a number is outside what the names, the grid or the rules allow.
    """

    suspects: int = 3
    weapons: int = 3
    rooms: int = 4
    times: int = 2
    motives: int | None = None

    def __post_init__(self):
        if self.motives is None:
            object.__setattr__(self, "motives", self.suspects)
        for field, low, high in (
            ("suspects", 2, len(SUSPECTS)),
            ("weapons", 2, len(WEAPONS)),
            ("rooms", 2, len(ROOMS)),
            ("times", 1, 24),
        ):
            value = getattr(self, field)
            if not low <= value <= high:
                raise ValueError(f"{field}={value} is impossible: choose from {low} to {high}.")
        if self.motives != 0 and not 2 <= self.motives <= self.suspects:
            raise ValueError(
                f"motives={self.motives} is impossible with {self.suspects} suspects: "
                f"choose 0 (no motives) or from 2 to {self.suspects}."
            )


def size_of(**counts: int | None) -> Size | None:
    """The size with these counts, those that are None as in `Size`; None, to draw each size, if all are None."""
    given = {name: count for name, count in counts.items() if count is not None}
    return Size(**given) if given else None


def published_size(rng: random.Random, players: tuple[int, int] = (1, 6)) -> Size:
    """Draw a size from the published mix; `players` is the inclusive range of the number of players, within 1 to 6."""
    if not 1 <= players[0] <= players[1] <= 6:
        raise ValueError(f"players={players} is impossible: choose a range within 1 to 6, lowest first.")
    n = rng.randint(*players)
    most_suspects, most_weapons, most_rooms = min(10, int(2.5 * n)), min(8, int(2.125 * n)), min(17, 3 * n)
    weapons = max(2, min(n + rng.randint(-1, 5), most_weapons))
    suspects = min(weapons + rng.randint(0, weapons - 1), most_suspects)
    rooms = min(suspects + rng.randint(0, suspects - 2), most_rooms)
    times = rng.randint(1, 2 * n)
    if rng.random() < 0.5:
        motives = suspects
    else:  # each suspect draws one of k motives, and motives that nobody drew are not listed
        k = rng.randint(1, suspects)
        motives = len({rng.randrange(k) for _ in range(suspects)})
    return Size(suspects, weapons, rooms, times, motives if motives > 1 else 0)


@dataclass(frozen=True)
class Setting:
    """What the detective knows from the start. Rooms fill a grid of `columns` columns row by row, north at the top.

    `motives` maps each motive to the number of suspects who have it; it is empty if motives play no part.

    Raises:
        ValueError: if a name occurs twice, a count is outside what `Size` allows, the motives do not add up to the suspects,
            the grid has more columns than rooms, or the times are not evenly 15, 30 or 60 minutes apart.
    """

    suspects: tuple[str, ...]
    weapons: tuple[str, ...]
    rooms: tuple[str, ...]
    columns: int
    times: tuple[str, ...]
    motives: tuple[tuple[str, int], ...] = ()

    def __post_init__(self):
        names = Counter(name.casefold() for name in (*self.pieces, *self.rooms, *self.motive_names))
        if twice := [name for name in (*self.pieces, *self.rooms, *self.motive_names) if names[name.casefold()] > 1]:
            raise ValueError(f"{twice[-1]!r} is the name of two suspects, weapons, rooms or motives: each needs its own.")
        Size(len(self.suspects), len(self.weapons), len(self.rooms), len(self.times), len(self.motives))
        if self.motives and (min(self.motive_counts.values()) < 1 or sum(self.motive_counts.values()) != len(self.suspects)):
            counts = ", ".join(f"{motive} {count}" for motive, count in self.motives)
            raise ValueError(f"the motives ({counts}) do not add up to the {len(self.suspects)} suspects.")
        if not 1 <= self.columns <= len(self.rooms):
            raise ValueError(f"a floor plan of {self.columns} columns does not fit {len(self.rooms)} rooms.")
        minutes = [_minutes(time) for time in self.times]
        steps = {(later - earlier) % (24 * 60) for earlier, later in pairwise(minutes)}
        if len(steps) > 1 or not steps <= {*SPACINGS}:
            raise ValueError(f"the times {', '.join(self.times)} are not evenly 15, 30 or 60 minutes apart.")

    @property
    def people(self) -> tuple[str, ...]:
        return (*self.suspects, BODDY)

    @property
    def pieces(self) -> tuple[str, ...]:
        """Everyone and everything that is in some room at each time."""
        return (*self.suspects, *self.weapons, BODDY)

    @cached_property
    def motive_names(self) -> tuple[str, ...]:
        return tuple(motive for motive, _ in self.motives)

    @cached_property
    def motive_counts(self) -> dict[str, int]:
        return dict(self.motives)

    def beside(self, room: str, direction: str) -> str | None:
        """The room just `direction` of `room`, or None if there is none."""
        return self._neighbours[room].get(direction)

    def neighbours(self, room: str) -> tuple[str, ...]:
        return tuple(self._neighbours[room].values())

    @cached_property
    def _neighbours(self) -> dict[str, dict[str, str]]:
        cells = {divmod(i, self.columns): room for i, room in enumerate(self.rooms)}
        return {
            room: {d: cells[row + dr, col + dc] for d, (dr, dc) in DIRECTIONS.items() if (row + dr, col + dc) in cells}
            for (row, col), room in cells.items()
        }

    def before(self, time: str) -> str:
        """The time just before `time`.

        Raises:
            ValueError: if `time` is the first time of the night.
        """
        i = self.times.index(time)
        if i == 0:
            raise ValueError(f"{time} is the first time of the night: nothing can move then.")
        return self.times[i - 1]


@dataclass(frozen=True)
class Night:
    """What happened: where every piece was at every time, everyone's motive, and the murder."""

    setting: Setting
    place: dict[tuple[str, str], str]  # (piece, time) -> room
    motive: dict[str, str]  # suspect -> motive
    murderer: str
    weapon: str
    room: str
    time: str

    def bearers(self, reference: str) -> tuple[str, ...]:
        """The pieces that a reference stands for: itself, the murderer or murder weapon, or everyone with that motive."""
        if reference == MURDERER:
            return (self.murderer,)
        if reference == MURDER_WEAPON:
            return (self.weapon,)
        if reference in self.setting.motive_counts:
            return tuple(s for s in self.setting.suspects if self.motive[s] == reference)
        return (reference,)


def night(seed: int, index: int, size: Size | None = None, players: tuple[int, int] = (1, 6)) -> Night:
    """Night `index` of the series `seed`. Without a `size`, one is drawn from the published mix for `players`.

    Raises:
        ValueError: if the mansion is too crowded for a murder.
    """
    rng = random.Random(f"night {seed} {index}")
    size = size or published_size(rng, players)
    setting, motive = _setting(rng, size)
    for _ in range(10_000):  # a crowded mansion may need many tries before someone is alone with a weapon
        place = _walks(rng, setting)
        if murder := _murder(rng, setting, place):
            murderer, weapon, time = murder
            room = place[murderer, time]
            place |= _boddys_places(rng, setting, room, time)
            return Night(setting, place, motive, murderer, weapon, room, time)
    raise ValueError(f"no murder was possible in 10,000 tries with {size}: use more rooms, more times or fewer suspects.")


def _setting(rng: random.Random, size: Size) -> tuple[Setting, dict[str, str]]:
    suspects = tuple(rng.sample(SUSPECTS, size.suspects))
    names = rng.sample(MOTIVES, size.motives)
    motive: dict[str, str] = {}
    if names:  # every motive is someone's; the remaining suspects draw freely
        drawn = names + rng.choices(names, k=size.suspects - size.motives)
        motive = dict(zip(suspects, rng.sample(drawn, len(drawn)), strict=True))
    counts = tuple((name, list(motive.values()).count(name)) for name in names)
    setting = Setting(
        suspects=suspects,
        weapons=tuple(rng.sample(WEAPONS, size.weapons)),
        rooms=tuple(rng.sample(ROOMS, size.rooms)),
        columns=rng.choice(_columns(size.rooms)),
        times=tuple(_times(rng, size.times)),
        motives=counts,
    )
    return setting, motive


def _columns(rooms: int) -> tuple[int, ...]:
    """The grid widths that the published generator uses for a number of rooms."""
    if rooms == 2:
        return (1, 2)
    if rooms in (5, 6):
        return (2, 3)
    if rooms in (10, 11, 12):
        return (3, 4)
    return (math.isqrt(rooms - 1) + 1,) if rooms <= 9 else (4,)


def _times(rng: random.Random, count: int) -> Iterator[str]:
    """Evenly spaced times around midnight, as clock labels such as "11:30 PM"."""
    minutes = rng.choice(SPACINGS)
    before_midnight = 0 if count == 1 else 1 + sum(rng.random() < 0.5 for _ in range(count - 2))
    for i in range(count):
        hour, minute = divmod((i - before_midnight) * minutes % (24 * 60), 60)
        yield f"{(hour - 1) % 12 + 1:02d}:{minute:02d} {'AM' if hour < 12 else 'PM'}"


def _minutes(time: str) -> int:
    """The minutes after midnight of a clock label: the inverse of `_times`."""
    if not (match := re.fullmatch(r"(0[1-9]|1[0-2]):([0-5][0-9]) (AM|PM)", time)):
        raise ValueError(f"{time!r} is not a time such as 11:30 PM or 01:00 AM.")
    return int(match[1]) % 12 * 60 + int(match[2]) + 12 * 60 * (match[3] == "PM")


def _walks(rng: random.Random, setting: Setting) -> dict[tuple[str, str], str]:
    """Random walks of the suspects, and of the weapons they carry."""
    place = {}
    for suspect in setting.suspects:
        room = rng.choice(setting.rooms)
        for i, time in enumerate(setting.times):
            if i and rng.random() < STEP_PROBABILITY:
                room = rng.choice(setting.neighbours(room))
            place[suspect, time] = room
    for weapon in setting.weapons:
        room, holder = rng.choice(setting.rooms), None
        for time in setting.times:
            if holder and place[holder, time] != room and rng.random() < CARRY_PROBABILITY:
                room = place[holder, time]
            place[weapon, time] = room
            present = [s for s in setting.suspects if place[s, time] == room]
            holder = rng.choice(present) if present else None
    return place


def _murder(rng: random.Random, setting: Setting, place: dict[tuple[str, str], str]) -> tuple[str, str, str] | None:
    """(murderer, weapon, time): the only suspect in a room, with a weapon there; None if that never happens."""
    chances = []
    for time in setting.times:
        for suspect in setting.suspects:
            room = place[suspect, time]
            weapons = [w for w in setting.weapons if place[w, time] == room]
            if weapons and sum(place[s, time] == room for s in setting.suspects) == 1:
                chances.append((suspect, weapons, time))
    if not chances:
        return None
    murderer, weapons, time = rng.choice(chances)
    return murderer, rng.choice(weapons), time


def _boddys_places(rng: random.Random, setting: Setting, room: str, time: str) -> dict[tuple[str, str], str]:
    """Mr. Boddy's places: a random walk that ends where he is murdered, where he then stays."""
    murdered = setting.times.index(time)
    place = {(BODDY, t): room for t in setting.times[murdered:]}
    for t in reversed(setting.times[:murdered]):
        if rng.random() < STEP_PROBABILITY:
            room = rng.choice(setting.neighbours(room))
        place[BODDY, t] = room
    return place
