"""A run that is killed again and again ends with the parameters of one that was not.

SPAGO_KILLS=20 kills it more often than the 5 times of every test run.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import interrupted_training

KILLS = int(os.environ.get("SPAGO_KILLS", "5"))
STEPS_AN_EPOCH = 3  # 30 examples, 4 in a batch, 3 batches a step
EPOCHS = 4 * KILLS

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on Windows")


def start(checkpoint: Path, moment: int = 0) -> subprocess.Popen[str]:
    arguments = [interrupted_training.__file__, str(checkpoint), str(EPOCHS), str(moment)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, env=environment)


def assert_ends_as_an_unbroken_run(folder: Path) -> None:
    """Let the run come to its end. The last checkpoints hold all: parameters, moments, the loss of each step."""
    process = start(folder / "run")
    process.communicate()
    assert process.returncode == 0
    interrupted_training.train(folder / "unbroken", EPOCHS, [])
    assert (folder / "run").read_bytes() == (folder / "unbroken").read_bytes()
    assert {path.name for path in folder.iterdir()} == {"run", "unbroken"}


def test_a_run_killed_at_random_moments_ends_bit_by_bit_the_same(tmp_path: Path) -> None:
    rng = random.Random(7)
    for _ in range(KILLS):
        process = start(tmp_path / "run")
        assert process.stdout is not None
        for _ in range(rng.randint(1, 2 * STEPS_AN_EPOCH)):
            assert process.stdout.readline(), "the run ended before it was killed"
        time.sleep(rng.uniform(0, 0.01))  # a step with its checkpoint takes about so long
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert_ends_as_an_unbroken_run(tmp_path)


def test_a_run_killed_while_it_writes_a_checkpoint_ends_bit_by_bit_the_same(tmp_path: Path) -> None:
    rng = random.Random(8)
    interrupted_training.train(tmp_path / "unbroken", 1, [])
    size = (tmp_path / "unbroken").stat().st_size
    (tmp_path / "unbroken").unlink()
    # Before there is a first checkpoint; between the last byte of one and its name; then at any byte.
    moments = [rng.randint(1, size // 2), -rng.randint(1, STEPS_AN_EPOCH)]
    moments += [rng.randint(1, 4 * size) for _ in range(KILLS - 2)]
    for moment in moments:
        process = start(tmp_path / "run", moment)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert len(list(tmp_path.glob(".run.*.tmp"))) == 1, "it was not killed while it wrote"
    assert_ends_as_an_unbroken_run(tmp_path)
