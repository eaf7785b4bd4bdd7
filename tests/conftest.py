"""What all tests share."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: a thread a process, since pytest-xdist runs one on each core
