"""A training run in a process of its own, to be killed: `python interrupted_training.py CHECKPOINT EPOCHS MOMENT`.

It writes a line for each step. With a MOMENT above 0 it kills itself when so many bytes of checkpoints are written;
below 0, when so many checkpoints are, but the last one has not got its name yet.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from spago import ag, losses, mat, nn, optim
from spago.mat.rand import LockedRand
from spago.nn import _atomic_write, _safetensors, training

Ints: TypeAlias = npt.NDArray[np.integer[Any]]


class Tagger(nn.Module):
    """A small tagger with dropout, and a buffer."""

    def __init__(self) -> None:
        rng = LockedRand(1)
        self.embedding = nn.Embedding(20, 6, rng=rng)
        self.lstm = nn.LSTM(6, 5, rng=rng)
        self.norm = nn.BatchNorm(5)
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(5, 4, rng=rng)

    def forward(self, words: Ints, lengths: Ints) -> ag.Node:
        """Return the scores of tags."""
        hidden, _ = self.lstm(self.embedding(words), lengths=lengths)
        y: ag.Node = self.output(self.dropout(self.norm(hidden)))
        return y


class Killing:
    """A file that kills this process at a byte."""

    def __init__(self, file: BinaryIO, at: int) -> None:
        self.file = file
        self.left = at

    def write(self, data: Any) -> int:
        """Write up to the byte."""
        view = memoryview(data).cast("B")
        self.file.write(view[: self.left])
        if len(view) >= self.left:
            self.file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= len(view)
        return len(view)


def die_at(moment: int) -> None:
    """Kill this process at a moment of its writing, as the module says."""
    whole = _atomic_write.atomic_write
    left = moment

    @contextmanager
    def killing(path: Any) -> Generator[BinaryIO]:
        nonlocal left
        with whole(path) as file:
            if moment > 0:
                wrapped = Killing(file, left)
                yield cast("BinaryIO", wrapped)
                left = wrapped.left
            else:
                yield file
                left += 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

    _safetensors.atomic_write = killing  # type: ignore[attr-defined]


def examples() -> list[tuple[list[int], list[int]]]:
    """Return sentences as words and tags."""
    rng = LockedRand(2)
    lengths = rng.intn(6, 30) + 1
    words = [rng.intn(20, int(length)).tolist() for length in lengths]
    return [(sentence, [word % 4 for word in sentence]) for sentence in words]


def collate(pairs: list[tuple[list[int], list[int]]]) -> tuple[Ints, Ints, Ints]:
    """Return words, lengths, and tags."""
    words, tags = zip(*pairs, strict=True)
    padded, lengths = training.pad(words)
    return padded, lengths, training.pad(tags, -100).values


def loss(tagger: Tagger, batch: tuple[Ints, Ints, Ints]) -> ag.Node:
    """Return the mean cross-entropy of the tags."""
    words, lengths, tags = batch
    return losses.cross_entropy(tagger(words, lengths), tags)


def train(checkpoint: Path, epochs: int, step_callbacks: list[training.Callback]) -> None:
    """Train to the end, from the checkpoint if there is one."""
    mat.rand.manual_seed(3)
    tagger = Tagger()
    training.fit(
        tagger,
        loss,
        training.Batches(examples(), 4, collate, length=lambda pair: len(pair[0]), seed=4, buffer=16, pool=2),
        optim.Adam(tagger, optim.WarmUp(10, optim.CosineDecay(0.01, 200)), clip_norm=1.0),
        epochs=epochs,
        accumulate=3,
        callbacks=[training.KeepBest()],
        step_callbacks=step_callbacks,
        checkpoint=checkpoint,
        every=1,
        progress=False,
    )


def main() -> None:
    """Do what the module says."""
    checkpoint, epochs, moment = sys.argv[1:]
    if int(moment):
        die_at(int(moment))

    def tell(run: training.Run) -> None:
        sys.stdout.write(f"{run.step}\n")
        sys.stdout.flush()

    train(Path(checkpoint), int(epochs), [tell])


if __name__ == "__main__":
    main()
