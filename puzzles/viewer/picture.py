"""The night as a picture (SVG): the rooms on their grid at each time, with everyone and everything in them."""

from __future__ import annotations

from html import escape

from puzzles.scenario import BODDY, Night

ROOM, TAG, GAP = 148, 19, 6  # width of a room, height of a name tag, space around it; in pixels
STYLE = """
.room { fill: #fbf7ef; stroke: #8a7a5c; stroke-width: 2 }
.scene { fill: #f6d9d3; stroke: #a8321f; stroke-width: 3 }
text { font: 12px system-ui, sans-serif; fill: #2b2620 }
.name { font-weight: 600; fill: #8a7a5c }
.title { font-size: 15px; font-weight: 600 }
.tag rect { rx: 9px; stroke: none }
.suspect rect { fill: #cfe0ee } .weapon rect { fill: #e6e0d2 } .boddy rect { fill: #3a342c } .boddy text { fill: #fff }
.guilty rect { stroke: #a8321f; stroke-width: 2 }
"""


def slots(night: Night) -> tuple[dict[tuple[str, str], tuple[int, int]], int]:
    """Where each piece's tag is at each time, (piece, time) → (x, y) in pixels, and the height of a room."""
    s = night.setting
    crowd = max(sum(night.place[p, t] == room for p in s.pieces) for room in s.rooms for t in s.times)
    height = 3 * GAP + TAG + crowd * (TAG + 3)
    found = {}
    for t in s.times:
        for i, room in enumerate(s.rooms):
            row, column = divmod(i, s.columns)
            present = [p for p in s.pieces if night.place[p, t] == room]
            for k, piece in enumerate(present):
                found[piece, t] = (column * ROOM + GAP, row * height + 2 * GAP + TAG + k * (TAG + 3))
    return found, height


def size(night: Night) -> tuple[int, int]:
    """Width and height of the mansion, in pixels."""
    rows = -(-len(night.setting.rooms) // night.setting.columns)
    return night.setting.columns * ROOM, rows * slots(night)[1]


def rooms(night: Night, scene: bool) -> str:
    """The rooms with their names; `scene` marks the room of the murder."""
    height, parts = slots(night)[1], []
    for i, room in enumerate(night.setting.rooms):
        row, column = divmod(i, night.setting.columns)
        x, y, kind = column * ROOM, row * height, "scene" if scene and room == night.room else "room"
        parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{ROOM}" height="{height}"/>')
        parts.append(f'<text class="name" x="{x + GAP + 2}" y="{y + 18}">{escape(room)}</text>')
    return "".join(parts)


def tag(night: Night, piece: str, x: int, y: int, scene: bool) -> str:
    """A piece's name tag; `scene` marks the murderer and the murder weapon."""
    kind = "boddy" if piece == BODDY else "suspect" if piece in night.setting.suspects else "weapon"
    if scene and piece in (night.murderer, night.weapon):
        kind += " guilty"
    return (
        f'<g class="tag {kind}" transform="translate({x} {y})"><rect width="{ROOM - 2 * GAP}" height="{TAG}" rx="9"/>'
        f'<text x="9" y="14">{escape(piece)}</text></g>'
    )


def picture(night: Night, across: int = 3) -> str:
    """The whole night, one mansion for each time, `across` of them side by side, with the murder marked."""
    s, (at, _), (width, height) = night.setting, slots(night), size(night)
    frames = []
    for i, time in enumerate(s.times):
        row, column = divmod(i, across)
        murder = time == night.time
        tags = "".join(tag(night, piece, *at[piece, time], murder) for piece in s.pieces)
        title = f"{time}: the murder" if murder else time
        frames.append(
            f'<g transform="translate({16 + column * (width + 24)} {36 + row * (height + 48)})">'
            f'<text class="title" y="-10">{title}</text>{rooms(night, murder)}{tags}</g>'
        )
    columns, lines = min(across, len(s.times)), -(-len(s.times) // across)
    total = (max(columns * (width + 24) + 8, 200), lines * (height + 48) + 4)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]} {total[1]}" width="{total[0]}" height="{total[1]}">'
        f"<style>{STYLE}</style><rect width='100%' height='100%' fill='white'/>{''.join(frames)}</svg>\n"
    )
