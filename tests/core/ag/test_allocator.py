"""Memory that one training step leaves serves the next."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

STEPS = """
import resource
import numpy as np
from spago import ag

weights = [ag.var(np.ones((700, 700), np.float32), requires_grad=True) for _ in range(4)]

def step():
    x = ag.var(np.full((500, 700), 1e-6, np.float32))
    for weight in weights:
        x = ag.tanh(x @ weight)
    x.backward()
    for weight in weights:
        weight.zero_grad()

ag.set_num_threads(1)
step()
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(**settings: str) -> int:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", STEPS], env=environment | settings, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have rules of their own")
def test_a_training_step_finds_the_memory_of_the_one_before() -> None:
    assert page_faults() < 500
    # What the environment says wins.
    assert page_faults(MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072") > 5000
