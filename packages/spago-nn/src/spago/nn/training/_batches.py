"""Mini-batches: padded, of about the same length, in random order, also of text that memory cannot hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from itertools import islice
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from spago.mat import ShapeError
from spago.mat.rand import LockedRand, State

Example = TypeVar("Example")
Batch = TypeVar("Batch")


class Padded(NamedTuple):
    """Sequences as one array.

    Attributes:
        values: Shape (B, T, …), filled up at the end of each.
        lengths: How long each is, shape (B,).
    """

    values: npt.NDArray[Any]
    lengths: npt.NDArray[np.intp]


def pad(sequences: Sequence[npt.ArrayLike], value: float = 0, dtype: npt.DTypeLike | None = None) -> Padded:
    """Return sequences of different lengths as one array, and their lengths.

    Args:
        sequences: B arrays of shapes (T_i, …) that agree but for the lengths T_i; a list of numbers is one of them.
        value: What they are filled up with.
        dtype: That of the result; by default the one that holds all of them.

    Raises:
        ShapeError: When there are none, or shapes differ beyond the length.

    Examples:
        >>> from spago.nn import training
        >>> training.pad([[1, 2, 3], [4]]).values
        array([[1, 2, 3], [4, 0, 0]])
        >>> training.pad([[1, 2, 3], [4]]).lengths
        array([3, 1])
    """
    arrays = [np.asarray(sequence) for sequence in sequences]
    if not arrays or any(array.ndim == 0 or array.shape[1:] != arrays[0].shape[1:] for array in arrays):
        shapes = ", ".join(str(array.shape) for array in arrays[:8]) or "none"
        raise ShapeError(f"pad: expected sequences whose shapes agree but for the first axis, got {shapes}")
    lengths = np.array([len(array) for array in arrays], np.intp)
    # An empty list is an array of floats, but says nothing of what it would hold.
    kind = np.result_type(*([array for array in arrays if array.size] or arrays))
    values = np.full((len(arrays), int(lengths.max()), *arrays[0].shape[1:]), value, kind if dtype is None else dtype)
    for row, array in zip(values, arrays, strict=True):
        row[: len(array)] = array
    return Padded(values, lengths)


class TextLines:
    """The lines of a text file, without their ends: read anew at each iteration, never held together.

    Args:
        path: A file in UTF-8.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __iter__(self) -> Iterator[str]:
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield line.rstrip("\n")


class BatchesState(TypedDict):
    """Where an iteration is.

    Attributes:
        settings: What must be the same for the batches to be.
        rng: The random stream, before the batches of the present buffer were drawn.
        read: How many examples came before that buffer.
        position: How many of its batches were handed out.
    """

    settings: dict[str, Any]
    rng: State
    read: int
    position: int


class Batches(Generic[Example, Batch]):
    """Examples in mini-batches; every iteration is an epoch, with an order of its own.

    With `length`, sequences of about the same length share a batch: examples in random order are cut into pools of some
    batches, each pool is sorted by length and cut into batches, and these are handed out in random order. That leaves
    little padding, and other batches in each epoch.

    With `buffer`, only so many examples are in memory at a time: they are read, shuffled among themselves and handed
    out, before the next are read. So text may be of any size; where its order matters (by source, by date), shuffle
    the file once beforehand.

    An iteration can go on later, in another process, with the very batch that would have come next: `save_checkpoint`
    takes batches as one of its parts, and `fit` does this by itself.

    Args:
        examples: What can be iterated over again and again: a list, a data set, `TextLines`.
        size: Examples in a batch; the last one of an epoch may have fewer.
        collate: Makes a batch of a list of examples, with `pad` for instance; `list` leaves it as it is.
        length: The length of an example, to sort by, such as `len`.
        shuffle: False keeps the order of the examples, or that of the lengths in each pool.
        seed: Of the order.
        buffer: How many examples are in memory at a time, rounded up to whole batches; by default all.
        pool: How many batches are sorted by length together.
        drop_last: Whether a batch that is not full is left out.

    Examples:
        >>> from spago.nn import training
        >>> words = ["a", "bb", "c", "dddd", "eee", "ff"]
        >>> batches = training.Batches(words, 2, list, length=len, seed=1)
        >>> [sorted(batch) for batch in batches]
        [['bb', 'ff'], ['a', 'c'], ['dddd', 'eee']]
        >>> len(batches)
        3
    """

    def __init__(
        self,
        examples: Iterable[Example],
        size: int,
        collate: Callable[[list[Example]], Batch],
        *,
        length: Callable[[Example], int] | None = None,
        shuffle: bool = True,
        seed: int = 0,
        buffer: int | None = None,
        pool: int = 16,
        drop_last: bool = False,
    ) -> None:
        if isinstance(examples, Iterator):
            raise TypeError(
                f"Batches: expected examples that can be iterated over again, got {type(examples).__name__}, which can "
                "be only once; pass a list, or an object whose __iter__ starts anew"
            )
        for name, number in (("size", size), ("pool", pool), ("buffer", buffer)):
            if number is not None and number < 1:
                raise ValueError(f"Batches: expected {name} ≥ 1, got {number}")
        self.examples = examples
        self.size = size
        self.collate = collate
        self.length = length
        self.shuffle = shuffle
        self.buffer = None if buffer is None else -(-buffer // size) * size
        self.pool = pool
        self.drop_last = drop_last
        self._rng = LockedRand(seed)
        self._before = self._rng.state()
        self._read = 0
        self._position = 0
        self._resumes = False

    def __len__(self) -> int:
        """The number of batches in an epoch.

        Raises:
            TypeError: When examples do not say how many they are.
        """
        if not isinstance(self.examples, Sized):
            raise TypeError(f"Batches: expected examples with a length, got {type(self.examples).__name__}")
        count = len(self.examples)
        return count // self.size if self.drop_last else -(-count // self.size)

    def __iter__(self) -> Iterator[Batch]:
        """Begin an epoch, or go on with the one whose state was loaded."""
        if not self._resumes:
            self._begin_buffer(0)
        self._resumes = False
        return self._batches()

    def _batches(self) -> Generator[Batch]:
        examples = islice(iter(self.examples), self._read, None)
        while chunk := list(islice(examples, self.buffer)):
            plan = self._plan(chunk)
            while self._position < len(plan):
                indices = plan[self._position]
                self._position += 1
                yield self.collate([chunk[i] for i in indices])
            self._begin_buffer(self._read + len(chunk))
        self._begin_buffer(0)

    def _begin_buffer(self, read: int) -> None:
        self._before, self._read, self._position = self._rng.state(), read, 0

    def _plan(self, chunk: Sequence[Example]) -> list[list[int]]:
        """Draw the batches of the examples in memory."""
        order: list[int] = self._rng.perm(len(chunk)).tolist() if self.shuffle else list(range(len(chunk)))
        if self.length is not None:
            lengths = [self.length(example) for example in chunk]
            span = self.pool * self.size
            pools = [sorted(order[i : i + span], key=lengths.__getitem__) for i in range(0, len(order), span)]
            order = [i for pool in pools for i in pool]
        plan = [order[i : i + self.size] for i in range(0, len(order), self.size)]
        if self.drop_last and len(plan[-1]) < self.size:
            plan.pop()
        if self.length is not None and self.shuffle:
            self._rng.shuffle(plan)
        return plan

    # State

    def state_dict(self) -> BatchesState:
        """Return where the iteration is; inside a loop, the batch at hand counts as done."""
        return {
            "settings": self._settings(),
            "rng": self._before,
            "read": self._read,
            "position": self._position,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration go on from a state of `state_dict`, over the same examples.

        Examples that came before are read again, and passed over.

        Raises:
            ValueError: When the state is that of other batches; nothing has been changed.
        """
        if state.keys() != BatchesState.__annotations__.keys():
            raise ValueError(f"Batches: expected a state of state_dict, got one of {', '.join(state)}")
        own = self._settings()
        if dict(state["settings"]) != own:
            raise ValueError(f"Batches: expected the state of batches with {own}, got {dict(state['settings'])}")
        read, position = int(state["read"]), int(state["position"])
        self._rng.set_state(state["rng"])
        self._before, self._read, self._position = self._rng.state(), read, position
        self._resumes = True

    def _settings(self) -> dict[str, Any]:
        return {
            "examples": len(self.examples) if isinstance(self.examples, Sized) else None,
            "size": self.size,
            "by_length": self.length is not None,
            "shuffle": self.shuffle,
            "buffer": self.buffer,
            "pool": self.pool,
            "drop_last": self.drop_last,
        }
