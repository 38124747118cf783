"""The random generator one draw at a time, as its definition reads: what the vectorised draws must equal."""

import math
from dataclasses import dataclass

import numpy as np

from spago.mat import _ziggurat

MULTIPLIER = 47026247687942121848144207491837523525
INCREMENT = 117397592171526113268558934119004209487
MASK_64 = 2**64 - 1
MASK_128 = 2**128 - 1


def state_before(output: int) -> int:
    """A state from which the next number of the stream is the given one."""
    # The upper half of the new state is 0, so its lower half is the output, neither folded nor rotated.
    return (output - INCREMENT) * pow(MULTIPLIER, -1, 2**128) & MASK_128


@dataclass
class ScalarRand:
    """A generator in a 128-bit state."""

    state: int

    @classmethod
    def seeded(cls, seed: int) -> "ScalarRand":
        """The generator of a seed."""
        return cls(seed << 64 | seed)

    def uint64(self) -> int:
        """Step, fold the halves, rotate by the top six bits."""
        self.state = (self.state * MULTIPLIER + INCREMENT) & MASK_128
        high, low = self.state >> 64, self.state & MASK_64
        folded, turn = high ^ low, high >> 58
        return (folded >> turn | folded << (64 - turn)) & MASK_64

    def float64(self) -> float:
        """The lower 53 bits."""
        return (self.uint64() & (2**53 - 1)) / 2**53

    def float32(self) -> float:
        """A float64 that does not round to 1."""
        while (y := float(np.float32(self.float64()))) == 1:
            pass
        return y

    def uint64n(self, n: int) -> int:
        """An integer below n."""
        v = self.uint64()
        if n & (n - 1) == 0:
            return v & (n - 1)
        if v > MASK_64 - n:
            ceiling = MASK_64 - MASK_64 % n
            while v >= ceiling:
                v = self.uint64()
        return v % n

    def perm(self, n: int) -> list[int]:
        """A permutation."""
        m = [0] * n
        for i in range(n):
            j = self.uint64n(i + 1)
            m[i] = m[j]
            m[j] = i
        return m

    def shuffled(self, n: int) -> list[int]:
        """0, ..., n - 1 in another order."""
        m = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.uint64n(i + 1)
            m[i], m[j] = m[j], m[i]
        return m

    def normal(self) -> float:
        """A standard normal number, by the ziggurat with the tables of the module under test."""
        k, w, f = _ziggurat._K, _ziggurat._W, _ziggurat._F
        while True:
            j = self.uint64() >> 32
            j -= (j >> 31) << 32
            i = j & 127
            x = float(j * w[i])
            if abs(j) < k[i]:
                return x
            if i == 0:
                return self._tail(positive=j > 0)
            height = f[i] + np.float32(self.float64()) * (f[i - 1] - f[i])
            if height < np.float32(math.exp(-0.5 * x * x)):
                return x

    def _tail(self, *, positive: bool) -> float:
        begin = 3.442619855899
        while True:
            x = -math.log(self.float64()) * (1.0 / begin)
            y = -math.log(self.float64())
            if y + y >= x * x:
                return begin + x if positive else -begin - x
