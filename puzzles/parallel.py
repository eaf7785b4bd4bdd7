"""Work on several cores, with the results in the order of the work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

AHEAD = 16  # items of work queued per process, so that none is idle while another is slow


def in_order(function: Callable, work: Iterable, num_proc: int) -> Iterator[Any]:
    """`function` of each item of `work`, in order, whatever `num_proc` is; `work` may be endless.

    The processes end when this one does, however it ends.

    Raises:
        ChildProcessError: if one of them was killed.
    """
    if num_proc == 1:
        yield from map(function, work)
        return
    pool = ProcessPoolExecutor(num_proc, multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        pending = deque()
        for piece in work:
            pending.append(pool.submit(function, piece))
            if len(pending) >= AHEAD * num_proc:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool:
        raise ChildProcessError("a process was killed, perhaps for lack of memory: use fewer, with --num-proc") from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of the group: the parent decides

    def watch():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
