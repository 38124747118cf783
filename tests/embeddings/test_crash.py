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

from spago.embeddings import LevelDBRepository, Model, Repository, SQLiteRepository, check

# The suite kills a few times; set the variable for a long run.
KILLS = int(os.environ.get("SPAGO_KILLS", "20"))

GROUPS = 7
WORDS = 40
SIZE = 64

# Trains one group of words after the other; step n leaves n in all numbers of its group and of its state.
WRITER = """
import itertools, sys
import numpy as np
from spago import embeddings
from spago.nn import Payload
kind, path = sys.argv[1:3]
groups, words, size, first = map(int, sys.argv[3:])
model = embeddings.Model(getattr(embeddings, kind)(path).store("words"), size)
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


def run_and_kill(kind: type[Repository], path: Path, first: int, seconds: float) -> list[int]:
    """Let a writer go on from step first, kill it after some time, and return the steps that it acknowledged."""
    command = [sys.executable, "-c", WRITER, *map(str, (kind.__name__, path, GROUPS, WORDS, SIZE, first))]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    time.sleep(seconds)
    writer.kill()
    acknowledged = [int(line) for line in writer.stdout.read().split("\n")[:-1]]
    writer.wait()
    writer.stdout.close()
    return acknowledged


def step_of(model: Model, group: int) -> int:
    """Return the step that all numbers of a group, and of its state, say they are from; fail when they differ."""
    words = [f"{group}-{i}" for i in range(WORDS)]
    (step,) = np.unique(model.get_many(words))
    for word in words:
        payload = model.payload(word)
        if payload is None:
            assert step == 0
        else:
            assert (payload.arrays["m"] == step).all()
            assert (payload.arrays["v"] == -step).all()
    return int(step)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("kind", [LevelDBRepository, SQLiteRepository])
def test_an_acknowledged_step_survives_and_none_is_half_there(
    tmp_path: Path, kind: type[LevelDBRepository] | type[SQLiteRepository]
) -> None:
    rng = random.Random(5)
    path = tmp_path / "words"
    written = [0] * GROUPS
    first = 1
    for _ in range(KILLS):
        acknowledged = run_and_kill(kind, path, first, rng.uniform(0, 0.25))
        for step in acknowledged:
            written[step % GROUPS] = step
        unfinished = first + len(acknowledged)
        with kind(path, read_only=True) as repository:
            store = repository.store("words")
            assert check(store).ok
            assert len(store) == GROUPS * WORDS
            found = [step_of(Model(store), group) for group in range(GROUPS)]
        # The step after the last acknowledged one may be there, and then all of it.
        if found[unfinished % GROUPS] == unfinished:
            written[unfinished % GROUPS] = unfinished
        assert found == written
        first = unfinished + 1
    assert first > KILLS
