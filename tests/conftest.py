"""What all tests share."""

import gc
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: one thread a process


def pytest_collection_finish():
    gc.freeze()  # each training ends with a garbage collection, which takes longer than it does if it goes through all imports
