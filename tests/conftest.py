"""Options and hooks for all tests."""

import gc
import os
import time

import pytest

from tests.hub import hub  # noqa: F401 - a fixture for all

FIRST = (
    "test_smollm2.py",
    "test_rehearsal.py",
    "test_packing.py",
    "test_train_tiny.py",
)  # the most costly to get wrong
LATE = ("test_every_known_objective", "test_vllm_follows_models_of_other_classes")  # rehearsals of what is off by default
LAST = "test_environments.py"  # which installs other projects: minutes for each

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: `make test` runs two processes


def pytest_addoption(parser):
    parser.addoption("--minutes", type=float, help="skip all tests that have not started after this many minutes")


def pytest_configure(config):
    config.started = time.monotonic()


def pytest_collection_modifyitems(items):
    order = {name: i - len(FIRST) for i, name in enumerate(FIRST)} | {LAST: 2} | dict.fromkeys(LATE, 1)
    items.sort(key=lambda item: order.get(item.originalname, order.get(item.path.name, 0)))


def pytest_collection_finish():
    gc.freeze()  # every training run ends with a garbage collection, which would walk through all imported modules


def pytest_runtest_setup(item):
    minutes = item.config.getoption("minutes")
    if minutes is not None and time.monotonic() - item.config.started > 60 * minutes:
        pytest.skip(f"not started: {minutes:g} minutes have passed")
