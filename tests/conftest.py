"""What all tests share."""

import gc
import os
import time

import pytest

FIRST = ("test_rehearsal.py", "test_packing.py", "test_train_tiny.py")  # what protects money, where time is short

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: `make test` runs two processes


def pytest_addoption(parser):
    parser.addoption("--minutes", type=float, help="start no test once so many minutes have passed: the rest is skipped")


def pytest_configure(config):
    config.started = time.monotonic()


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


def pytest_collection_finish():
    gc.freeze()  # each training ends with a garbage collection, which takes longer than it does if it goes through all imports


def pytest_runtest_setup(item):
    minutes = item.config.getoption("minutes")
    if minutes is not None and time.monotonic() - item.config.started > 60 * minutes:
        pytest.skip(f"not started: {minutes:g} minutes have passed")
