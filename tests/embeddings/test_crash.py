"""A writer is killed at any moment: what it was told is written is there, and nothing is half there."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from spago.embeddings import LevelDBRepository, Model, check

# The suite kills a few times; set the variable for a long run.
KILLS = int(os.environ.get("SPAGO_KILLS", "8"))

GROUPS = 7
WORDS = 40
SIZE = 64

# Trains one group of words after the other; step n leaves n in all numbers of its group and of its state.
WRITER = """
import itertools, sys
import numpy as np
from spago.embeddings import LevelDBRepository, Model
from spago.nn import Payload
path, groups, words, size, first = sys.argv[1], *map(int, sys.argv[2:])
model = Model(LevelDBRepository(path).store("words"), size)
names = [[f"{g}-{i}" for i in range(words)] for g in range(groups)]
if not len(model):
    for group in names:
        model.set_many(group, np.zeros((words, size)))
print("ready", flush=True)
for n in itertools.count(first):
    node = model.embed_many(names[n % groups])
    node.acc_grad(np.ones_like(node.value))
    (rows,) = model.parameters()
    rows.value[...] = n
    rows.payload = Payload("Adam", {"m": np.full_like(rows.value, n), "v": np.full_like(rows.value, -n)})
    rows.commit()
    rows.zero_grad()
    print(n, flush=True)
"""


def run_and_kill(path: Path, first: int, seconds: float) -> int:
    """Let a writer go on from step first, kill it after some time, and return the last step that it acknowledged."""
    command = [sys.executable, "-c", WRITER, *map(str, (path, GROUPS, WORDS, SIZE, first))]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    time.sleep(seconds)
    writer.kill()
    acknowledged = [line for line in writer.stdout.read().split("\n")[:-1] if line]
    writer.wait()
    writer.stdout.close()
    return int(acknowledged[-1]) if acknowledged else first - 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_an_acknowledged_step_survives_and_none_is_half_there(tmp_path: Path) -> None:
    rng = random.Random(5)
    path = tmp_path / "words"
    last = 0
    for _ in range(KILLS):
        last = run_and_kill(path, last + 1, rng.uniform(0, 0.25))
        with LevelDBRepository(path, read_only=True) as repository:
            store = repository.store("words")
            assert check(store).ok
            assert len(store) == GROUPS * WORDS
            model = Model(store)
            for group in range(GROUPS):
                words = [f"{group}-{i}" for i in range(WORDS)]
                values = model.get_many(words)
                (n,) = np.unique(values)
                # The step after the last acknowledged one may be there too.
                expected = max((step for step in range(1, last + 1) if step % GROUPS == group), default=0)
                assert n == expected or (n == last + 1 and n % GROUPS == group)
                payloads = [model.payload(word) for word in words]
                if n == 0:
                    assert payloads == [None] * WORDS
                else:
                    for payload in payloads:
                        assert payload is not None
                        assert (payload.arrays["m"] == n).all()
                        assert (payload.arrays["v"] == -n).all()
        last += 1
    assert last > KILLS
