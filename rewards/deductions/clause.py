"""What one clause asserts: statements about the night, or that such a statement is false.

A clause is read only if all of it has one of the forms in rewards/deductions/forms.py, after lead-ins ("So", "From clue 3 it
follows that") and adverbs are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import chain

from puzzles.clues import At, Beside, Carried, Clue, Iff, Motivated, Moved, Murder, Or, SameRoom, Together
from puzzles.scenario import MURDER_WEAPON, Setting
from rewards.deductions import forms
from rewards.deductions.grammar import ADVERB, DENIAL, LABEL, LEAD_IN, NOT_THAT
from rewards.deductions.names import Names

MAX_CHARS_PER_NAME = 150  # a clause with fewer names is about something else
MAX_STATEMENTS = 40  # per clause


@dataclass(frozen=True)
class Assertion:
    """That `statement` holds, or that it does not."""

    statement: Clue
    holds: bool = True

    @property
    def key(self) -> tuple[Clue, bool]:
        """A key that all assertions with the same meaning share."""
        return canonical(self.statement), self.holds

    @property
    def opposite(self) -> tuple[Clue, bool]:
        """The key of the assertion that denies this one."""
        return canonical(self.statement), not self.holds


def canonical(statement: Clue) -> Clue:
    """The canonical one of all statements that mean the same by symmetry ("A north of B" for "B south of A")."""
    match statement:
        case Or(a, b) | Iff(a, b):
            return type(statement)(*sorted((a, b), key=repr))
        case SameRoom(who, other, time):
            return SameRoom(*sorted((who, other)), time)
        case Together(who, other, room):
            return Together(*sorted((who, other)), room)
        case Beside(who, "south" | "east" as way, other, time):
            return Beside(other, "north" if way == "south" else "west", who, time)
    return statement


def may_be_read(clause: str) -> bool:
    """Whether a clause contains enough names for a statement: a quick check, since most clauses do not."""
    names = clause.count("<")
    return len(clause) <= MAX_CHARS_PER_NAME * names and (names > 1 or bool(forms.OF_ONE_NAME.search(clause)))


def without_lead_ins(clause: str) -> str:
    """A clause from its statement or denial on."""
    clause = clause.strip(" .!,;:-")
    while lead := LEAD_IN.match(clause):
        clause = clause[lead.end() :]
    return clause


def denies(clause: str) -> bool:
    """Whether a clause begins with a denial ("So it is impossible that …", "It does not follow that …")."""
    return bool(DENIAL.match(without_lead_ins(clause)) or NOT_THAT.match(clause))


class ClauseReader:
    """Reads clauses of a puzzle in marked text (rewards/deductions/names.py). Each method returns None for an unknown form."""

    def __init__(self, setting: Setting, names: Names):
        self.setting, self.names = setting, names

    def read(self, clause: str) -> list[Assertion] | None:
        """What a clause asserts."""
        if not may_be_read(clause):
            return None
        clause = without_lead_ins(clause)
        if denied := DENIAL.match(clause):
            clause = clause[denied.end() :]
        if forms.ORDERED.search(clause):
            return None
        both, clause = " both " in f" {clause} ", " ".join(ADVERB.sub("", clause).split()).strip(" .!,;:")
        if so := forms.SO_WAS.fullmatch(clause):  # and so was the Rope
            found = self._places(so["first"])
            if not found or len({(a.statement.room, a.statement.time, a.holds) for a in found}) > 1:
                return None
            like, others = found[0], self.names.pieces(so["pieces"])
            return [*found, *(replace(like, statement=replace(like.statement, who=who)) for who in others)]
        joined = " or " in clause or " if and only if " in clause
        found = self._two_places(clause) if joined else self._places(clause)
        if found is None:
            found = self._form(forms.TIME_FIRST.sub(r"\2 at \1", clause), denied=bool(denied))
        if both and found and not all(a.holds for a in found):  # not both: then which?
            return None
        if denied and found is not None:
            return [Assertion(found[0].statement, not found[0].holds)] if len(found) == 1 else None
        return found

    def read_list(self, sentence: str) -> list[Assertion] | None:
        """What a time and, after it, the places of several pieces assert: "12:00 AM: Plum - Hall, Green - Study"."""
        match = forms.TIMED_LIST.fullmatch(sentence)
        if not match:
            return None
        items = [forms.LIST_ITEM.fullmatch(item) for item in re.split(r"[,;] (?:and )?", match["items"])]
        if not all(items):
            return None
        return [*chain(*(self.read(f"{i['piece']} was in {i['room']} at {match['time']}") or [] for i in items))]

    def read_cell(self, label: str, head: str, cell: str) -> list[Assertion] | None:
        """What a cell of a table asserts, given the label of its row and the head of its column."""
        for piece, time in ((label, head), (head, label)):
            if (
                re.fullmatch(r"(?:the )?<[SWB]\d+>", piece)
                and re.fullmatch(r"<T\d+>", time)
                and re.fullmatch(r"(?:the )?<R\d+>", cell)
            ):
                return self.read(f"{piece} was in {cell} at {time}")
        if re.fullmatch(r"<S\d+>", label) and "motive" in head and LABEL.fullmatch(head) and re.fullmatch(r"<M\d+>", cell):
            return self.read(f"{label} is motivated by {cell}")
        return None

    def _two_places(self, clause: str) -> list[Assertion] | None:
        """Two statements of where somebody was, joined by "or" or "if and only if"; nothing if they are the same."""
        kind, connective = (Iff, " if and only if ") if " if and only if " in clause else (Or, " or ")
        first, _, second = clause.removeprefix("either ").partition(connective)
        if kind is Or and (short := forms.EITHER.fullmatch(clause)):
            subject = short["subject"].replace("either ", "")
            first, second = (
                f"{subject}{place if place.startswith(('in ', 'at ')) else f'in {place}'}{short['when']}"
                for place in (short["first"], short["second"])
            )
        sides = self._places(first), self._places(second)
        if not all(side and len(side) == 1 and side[0].holds for side in sides):
            return None
        a, b = sides[0][0].statement, sides[1][0].statement
        return [Assertion(kind(a, b))] if a != b else []

    def _places(self, clause: str) -> list[Assertion] | None:
        """Where pieces were: a statement for each subject, place and time.

        Unread if nothing could be in all of these places at once, and if only some of what is denied may be false.
        """
        match = forms.SUBJECT.match(clause)
        if not match:
            return None
        only_time = self.setting.times if len(self.setting.times) == 1 else []
        ahead = self.names.names(match["first"] or match["middle"] or match["late"]) or only_time
        items, waiting, places, end = [], [], 0, match.end()  # a place without a time has that of the next one
        while item := forms.PLACE.match(clause, end):
            end = item.end()
            if waiting and item["ahead"]:  # "in the Hall, and at 12:00 AM in the Study"
                return None
            places += not item["not"]
            waiting.append((bool(item["not"]), self.names.name(item["room"])))
            if times := self.names.names(item["times"]) or self.names.names(item["ahead"]) or ahead:
                items += [(no, room, time) for no, room in waiting for time in times]
                waiting = []
        subjects = self.names.pieces(match["pieces"])
        if end < len(clause) or waiting or not items or len(items) * len(subjects) > MAX_STATEMENTS:
            return None
        if (" and " if match["neither"] else " nor ") in match["pieces"]:
            return None
        there = [(room, time) for no, room, time in items if not no]
        denied = bool(match["no"] or match["neither"])
        modal = forms.MODAL.match(match["no"] or "")
        if denied and (places > 1 or (modal and len(items) * len(subjects) > 1)):
            return None
        if not denied and len({time for _, time in there}) < len(set(there)):
            return None
        return [Assertion(At(who, room, time), not (denied or no)) for who in subjects for no, room, time in items]

    def _form(self, clause: str, denied: bool = False) -> list[Assertion] | None:
        """One of `FORMS`, or several denied at once.

        Args:
            denied: whether a denial stands before the clause, which the caller applies.
        """
        if not forms.ANY_FORM.fullmatch(clause):
            return None
        for kind, form in forms.FORMS:
            if match := form.fullmatch(clause):
                groups = {name: value for name, value in match.groupdict().items() if value}
                holds = bool(groups.pop("no", None)) == (kind == "not the murderer")
                statements = self._statements(kind, groups)
                # Not all of it, but which part? Did not arrive, or was there already?
                if statements is None or ((denied or not holds) and (len(statements) > 1 or kind == "arrived")):
                    return None
                return [Assertion(statement, holds) for statement in statements]
        if several := forms.NO_MOTIVES.fullmatch(clause):
            suspect = self.names.name(several[1])
            return [Assertion(Motivated(suspect, motive), False) for motive in self.names.names(several[2])]
        if neither := forms.NEITHER_NOR.fullmatch(clause):
            found = [self._form(f"{who} was {neither[3]}") for who in (neither[1], neither[2])]
            if all(some and len(some) == 1 for some in found):
                return [Assertion(a.statement, not a.holds) for a in chain(*found)]
        return None

    def _statements(self, kind: str, groups: dict[str, str]) -> list[Clue] | None:
        """The statements of a form; None if something that they need is missing, such as a time."""
        s = self.setting
        of = {name: self.names.name(phrase) for name, phrase in groups.items() if name not in ("pieces", "when", "way")}
        (time,) = self.names.names(groups.get("when")) or (s.times if len(s.times) == 1 else (None,))
        pieces = self.names.pieces(groups.get("pieces", ""))
        if kind in ("at", "arrived", "brought", "same room", "same room as", "moved", "carried", "beside") and time is None:
            return None
        match kind:
            case "at":
                return [At(of["who"], of["room"], time)]
            case "arrived" if time != s.times[0]:
                return [At(of["who"], of["room"], time)]
            case "brought" if time != s.times[0]:
                return [At(of["who"], of["room"], time), At(of["weapon"], of["room"], time)]
            case "same room":
                return [SameRoom(*pair, time)] if (pair := self._pair(pieces)) else None
            case "same room as":
                if of["who"] == of["other"]:
                    return []
                return [SameRoom(*pair, time)] if (pair := self._pair([of["who"], of["other"]])) else None
            case "together":
                return [Together(*pair, of["place"])] if (pair := self._pair(pieces or [of["who"], of["other"]])) else None
            case "beside" if {of["who"], of["other"]} <= set(s.pieces):
                return [Beside(of["who"], groups["way"], of["other"], time)]
            case "moved" if time != s.times[0]:
                return [Moved(of["who"], of["origin"], of["destination"], time)]
            case "carried" if time != s.times[0]:
                return [Carried(of["who"], of["weapon"], of["origin"], of["destination"], time)]
            case "motivated":
                return [Motivated(of["suspect"], of["motive"])]
            case "murderer" | "not the murderer":
                return [self._murderer(groups["value"])]
            case "weapon" | "room" | "time" | "motive" if of["value"] != MURDER_WEAPON:
                return [Murder(kind, of["value"])]
            case "murder":
                by = [self._murderer(groups["by"])] if "by" in groups else []
                aspects = {"weapon": of.get("weapon"), "room": of.get("place"), "time": of.get("time")}
                known = [Murder(aspect, value) for aspect, value in aspects.items() if value not in (None, MURDER_WEAPON)]
                return by + known or None
        return None

    def _pair(self, pieces: list[str]) -> list[str] | None:
        """Two pieces for a statement about both, of which only the first may be one that the detective has to identify."""
        if len(set(pieces)) != 2 or len(pieces) != 2 or set(pieces).isdisjoint(self.setting.pieces):
            return None
        return sorted(pieces, key=self.setting.pieces.__contains__)

    def _murderer(self, phrase: str) -> Murder:
        return Murder("murderer" if phrase.startswith("<S") else "motive", self.names.name(phrase))
