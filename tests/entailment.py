"""Whether clues entail a statement, proved by CP-SAT."""

from puzzles.cpsat import find_night


def entailed(setting, clues, statement):
    """Whether `statement` holds on every night that fits the clues."""
    return find_night(setting, clues, false=[statement]) is None
