"""Random streams that are the same everywhere: on every platform, with every version of NumPy, and in Go Spago.

A seed stands for one stream of 64-bit numbers, that of the generator PCG64 (a linear congruential generator of 128 bits
whose output is folded and rotated). Everything else is made from it by rules that are written down here, so the same
seed gives the same weights, bit for bit. Arrays are drawn at once, but give the same numbers and leave the generator
in the same state as single draws would, in row-major order.

Source: M. E. O'Neill (2014), "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random
Number Generation", HMC-CS-2014-0905, for the generator.
"""

import math
import threading
from collections.abc import MutableSequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from spago.mat._errors import FormatError
from spago.mat._types import Array
from spago.mat._ziggurat import LOW_53, TO_UNIT, standard_normal

__all__ = ["LockedRand", "Shape", "State", "default_rng", "manual_seed"]

Shape = int | tuple[int, ...] | None
"""The shape of an array of draws, or their number; None draws one, as an array without axes."""


class State(TypedDict):
    """The state of a generator, made of types that JSON has.

    Attributes:
        state: The 128-bit state, as a decimal number: JSON readers elsewhere would round it.
        unread: Bytes that a read has drawn and not yet given out, in hexadecimal.
    """

    state: str
    unread: str


class LockedRand:
    """A generator of random numbers that threads may share.

    Each method takes a lock, so draws of several threads never mix within a call. Copies and pickles continue the
    stream from where the original is.

    Args:
        seed: Any integer in [0, 2^64).

    Examples:
        >>> from spago.mat.rand import LockedRand
        >>> rng = LockedRand(42)
        >>> rng.float64(2)
        array([0.38956332, 0.02744246])
        >>> rng.intn(6, 4)
        array([0, 1, 5, 2])
    """

    __slots__ = ("_bits", "_lock", "_unread")

    def __init__(self, seed: int) -> None:
        self._lock = threading.RLock()
        self._bits = np.random.PCG64()
        self._unread = b""
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Start the stream of another seed, forgetting bytes that a read has left."""
        seed = int(seed)
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"LockedRand: expected a seed from 0 to 2^64 - 1, got {seed}")
        self._restart(seed << 64 | seed, b"")

    # Integers

    def uint64(self, shape: Shape = None) -> npt.NDArray[np.uint64]:
        """Integers uniform over [0, 2^64): the stream itself."""
        size, shape = _size_and_shape(shape)
        with self._lock:
            return self._bits.random_raw(size).reshape(shape)

    def uint32(self, shape: Shape = None) -> npt.NDArray[np.uint32]:
        """Integers uniform over [0, 2^32): the upper half of each number of the stream."""
        return np.asarray(self.uint64(shape) >> np.uint64(32), np.uint32)

    def int63(self, shape: Shape = None) -> npt.NDArray[np.int64]:
        """Integers uniform over [0, 2^63): each number of the stream without its top bit."""
        return np.asarray(self.uint64(shape) & np.uint64((1 << 63) - 1), np.int64)

    def int31(self, shape: Shape = None) -> npt.NDArray[np.int32]:
        """Integers uniform over [0, 2^31): the top 31 bits of each number of the stream."""
        return np.asarray(self.uint64(shape) >> np.uint64(33), np.int32)

    def int_(self, shape: Shape = None) -> npt.NDArray[np.int64]:
        """Integers uniform over [0, 2^63): int63 by its other name in Go."""
        return self.int63(shape)

    def uint64n(self, n: int, shape: Shape = None) -> npt.NDArray[np.uint64]:
        """Integers uniform over [0, n), for n from 1 to 2^64 - 1.

        The stream modulo n. Where n is no power of two, numbers of the stream above the greatest multiple of n are
        skipped, so that all remainders are equally likely.
        """
        n = int(n)
        if not 0 < n < 1 << 64:
            raise ValueError(f"LockedRand.uint64n: expected n from 1 to 2^64 - 1, got {n}")
        if n & (n - 1) == 0:
            return np.asarray(self.uint64(shape) & np.uint64(n - 1))
        size, shape = _size_and_shape(shape)
        y = np.empty(size, np.uint64)
        filled = 0
        with self._lock:
            while filled < size:
                raw = self._bits.random_raw(size - filled)
                kept = raw[raw < np.uint64(_LARGEST - _LARGEST % n)]
                y[filled : filled + kept.size] = kept
                filled += kept.size
        y %= np.uint64(n)
        return y.reshape(shape)

    def intn(self, n: int, shape: Shape = None) -> npt.NDArray[np.int64]:
        """Integers uniform over [0, n), for n from 1 to 2^63 - 1: the numbers of uint64n, signed."""
        if not 0 < n < 1 << 63:
            raise ValueError(f"LockedRand.intn: expected n from 1 to 2^63 - 1, got {n}")
        return self.uint64n(n, shape).astype(np.int64)

    # Real numbers

    def float64(self, shape: Shape = None) -> npt.NDArray[np.float64]:
        """Numbers uniform over [0, 1): the lower 53 bits of each number of the stream, divided by 2^53."""
        raw = self.uint64(shape)
        raw &= np.uint64(LOW_53)
        # As signed integers they are converted to float64 by a vector instruction.
        y: npt.NDArray[np.float64] = np.multiply(raw.view(np.int64), TO_UNIT, dtype=np.float64)
        return np.asarray(y)

    def float32(self, shape: Shape = None) -> npt.NDArray[np.float32]:
        """Numbers uniform over [0, 1): those of float64, rounded; one that rounds to 1 is drawn again."""
        size, shape = _size_and_shape(shape)
        y = np.empty(size, np.float32)
        filled = 0
        with self._lock:
            while filled < size:
                drawn = self.float64(size - filled).astype(np.float32)
                kept = drawn[drawn < 1]
                y[filled : filled + kept.size] = kept
                filled += kept.size
        return y.reshape(shape)

    def uniform(
        self, shape: Shape = None, low: float = 0.0, high: float = 1.0, dtype: npt.DTypeLike = np.float64
    ) -> Array:
        """Numbers uniform over [low, high): u (high - low) + low with u from float64, then rounded to dtype."""
        y: Array = self.float64(shape)
        y *= high - low
        y += low
        return y.astype(dtype, copy=False)

    def normal(
        self, shape: Shape = None, mean: float = 0.0, std: float = 1.0, dtype: npt.DTypeLike = np.float64
    ) -> Array:
        """Normal numbers: n std + mean with n standard normal by the ziggurat method, then rounded to dtype.

        Source: G. Marsaglia, W. W. Tsang (2000), "The Ziggurat Method for Generating Random Variables".
        """
        size, shape = _size_and_shape(shape)
        with self._lock:
            y: Array = standard_normal(self._bits, size).reshape(shape)
        y *= std
        y += mean
        return y.astype(dtype, copy=False)

    def bernoulli(self, shape: Shape = None, p: float = 0.5, dtype: npt.DTypeLike = np.float32) -> Array:
        """A mask of zeros and ones, where p is the probability of a zero: 0 where u < p with u from float64, else 1.

        The comparison is made in dtype.
        """
        u = self.float64(shape).astype(dtype)
        return np.asarray(u >= u.dtype.type(p), dtype=dtype)

    # Orders and bytes

    def perm(self, n: int) -> npt.NDArray[np.int64]:
        """A permutation of 0, ..., n - 1, each equally likely.

        Every i takes the place of an earlier element or its own, at random, and that one moves to position i.
        """
        if n < 0:
            raise ValueError(f"LockedRand.perm: expected a number of elements of at least 0, got {n}")
        y: list[int] = []
        for i, j in enumerate(self._below(np.arange(1, n + 1, dtype=np.uint64))):
            y.append(i)
            y[i] = y[j]
            y[j] = i
        return np.array(y, np.int64)

    def shuffle(self, sequence: MutableSequence[Any] | npt.NDArray[Any]) -> None:
        """Put the elements of a list, or the rows of an array, in random order, in place.

        From the last element to the second, each is exchanged with itself or an earlier one.
        """
        n = len(sequence)
        order = list(range(n))
        below = self._below(np.arange(n, 1, -1, dtype=np.uint64))
        for i, j in zip(range(n - 1, 0, -1), below, strict=True):
            order[i], order[j] = order[j], order[i]
        if isinstance(sequence, np.ndarray):
            sequence[...] = sequence[order]
        else:
            sequence[:] = [sequence[k] for k in order]

    def read(self, n: int) -> bytes:
        """Random bytes: the numbers of the stream, least significant byte first.

        Bytes of a number that are not needed are kept for the next read; other draws take no notice of them.
        """
        if n < 0:
            raise ValueError(f"LockedRand.read: expected a number of bytes of at least 0, got {n}")
        with self._lock:
            missing = max(0, n - len(self._unread))
            data = self._unread + self._bits.random_raw((missing + 7) // 8).astype("<u8").tobytes()
            self._unread = data[n:]
        return data[:n]

    def _below(self, bounds: npt.NDArray[np.uint64]) -> list[int]:
        """One integer uniform over [0, n) for each n of bounds, by the rule of uint64n."""
        ceilings = _LARGEST - _LARGEST % bounds
        powers_of_two = bounds & (bounds - np.uint64(1)) == 0
        with self._lock:
            raw = self._bits.random_raw(bounds.size)
            while (refused := np.flatnonzero((raw >= ceilings) & ~powers_of_two)).size:
                # The numbers after a refused one move up by one place: they meet other bounds.
                raw = np.append(np.delete(raw, refused[0]), self._bits.random_raw(1))
        below: list[int] = (raw % bounds).tolist()
        return below

    # State

    def state(self) -> State:
        """Everything that decides what is drawn next."""
        with self._lock:
            return {"state": str(self._bits.state["state"]["state"]), "unread": self._unread.hex()}

    def set_state(self, state: State) -> None:
        """Continue from a state that the method of that name has given.

        Raises:
            FormatError: It is no such state; the generator stays as it was.
        """
        try:
            number, unread = int(state["state"]), bytes.fromhex(state["unread"])
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"LockedRand: expected a state as state() gives it, got {state!r}") from error
        if not 0 <= number < 1 << 128 or len(unread) > 7:
            raise FormatError(f"LockedRand: expected a state of 128 bits and at most 7 bytes, got {state!r}")
        self._restart(number, unread)

    def _restart(self, number: int, unread: bytes) -> None:
        with self._lock:
            self._bits.state = {
                "bit_generator": "PCG64",
                "state": {"state": number, "inc": _INCREMENT},
                "has_uint32": 0,
                "uinteger": 0,
            }
            self._unread = unread

    def __reduce__(self) -> tuple[type["LockedRand"], tuple[int], State]:
        return type(self), (0,), self.state()

    def __setstate__(self, state: State) -> None:
        self.set_state(state)

    def __repr__(self) -> str:
        return f"LockedRand(state={self.state()['state']})"


def default_rng() -> LockedRand:
    """The generator of this process, from which everything draws that is given no other; its first seed is 12345."""
    return _DEFAULT


def manual_seed(seed: int) -> LockedRand:
    """Start the generator of this process anew from a seed, and return it."""
    _DEFAULT.seed(seed)
    return _DEFAULT


def _size_and_shape(shape: Shape) -> tuple[int, tuple[int, ...]]:
    if shape is None:
        return 1, ()
    shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if any(n < 0 for n in shape):
        raise ValueError(f"LockedRand: expected a shape of sizes of at least 0, got {shape}")
    return math.prod(shape), shape


_INCREMENT = 6364136223846793005 << 64 | 1442695040888963407
_LARGEST = (1 << 64) - 1

_DEFAULT = LockedRand(12345)
