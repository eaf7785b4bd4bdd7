"""Work on several processes."""

import os
import signal

import pytest

from puzzles.parallel import in_order


def square(number):
    return number**2


def end(number):
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_come_in_the_order_of_the_work():
    assert [*in_order(square, range(50), 2)] == [n**2 for n in range(50)]


def test_a_killed_process_is_named():
    with pytest.raises(ChildProcessError, match="a process was killed, perhaps for lack of memory: use fewer, with --num-proc"):
        list(in_order(end, range(4), 2))
