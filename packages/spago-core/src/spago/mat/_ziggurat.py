"""Standard normal numbers by the ziggurat method, from a stream of 64-bit numbers.

The bell curve is covered by 128 layers of equal area. The upper half of a number of the stream gives a layer i and a
signed integer j, hence x = j w_i, which lies under the curve at once if |j| < k_i (98.8 % of draws). Otherwise the next
number decides whether x, in the wedge of its layer, is under the curve; in the lowest layer x comes from the tail.

Source: G. Marsaglia, W. W. Tsang (2000), "The Ziggurat Method for Generating Random Variables", J. Stat. Soft. 5(8).
"""

import math

import numpy as np
import numpy.typing as npt

Raw = npt.NDArray[np.uint64]
Doubles = npt.NDArray[np.float64]

TO_UNIT = 2.0**-53
LOW_53 = (1 << 53) - 1

_TAIL = 3.442619855899
"""Where the tail begins."""

_AREA = 9.91256303526217e-3
_BLOCK = 1 << 14


def standard_normal(bits: np.random.PCG64, size: int) -> Doubles:
    """Draw standard normal numbers; the generator stops where drawing one after the other would leave it."""
    y = np.empty(size)
    filled = 0
    spare = 16
    while filled < size:
        drawn = _fill(bits, y[filled : filled + _BLOCK], spare)
        filled += drawn
        if not drawn:
            # A tail that takes more numbers than the block had.
            spare *= 2
    return y


def _fill(bits: np.random.PCG64, y: Doubles, spare: int) -> int:
    """Fill y, or its beginning, from one block of the stream; return how many numbers were put there."""
    raw: Raw = bits.random_raw(y.size + y.size // 64 + spare)
    j = raw.view(np.int64) >> 32
    layer = j & 127
    x = j * _W[layer]
    taken = np.abs(j) < _K[layer]
    after = _decide_refused(raw, layer, x, taken)

    chosen = np.flatnonzero(taken)[: y.size]
    y[: chosen.size] = x[chosen]
    if chosen.size == y.size:
        last = int(chosen[-1])
        stop = after.get(last, last + 1)
    else:
        stop = after[-1]
    # The block reached beyond what was needed; the generator runs backwards as well.
    bits.advance(stop - raw.size)
    return chosen.size


def _decide_refused(raw: Raw, layer: npt.NDArray[np.int64], x: Doubles, taken: npt.NDArray[np.bool_]) -> dict[int, int]:
    """Settle in x and taken the draws that are not under the curve at once.

    Returns:
        For each of them that was taken, by its position in the block, the position after the last number it used; and
        under -1 the position after the last draw that could be decided.
    """
    refused = np.flatnonzero(~taken)
    under_curve = _under_curve(raw[np.minimum(refused + 1, raw.size - 1)], layer[refused], x[refused])
    after: dict[int, int] = {}
    free = 0
    for p, i, accepted in zip(refused.tolist(), layer[refused].tolist(), under_curve.tolist(), strict=True):
        if p < free:
            # This number was used up by the draw before it.
            continue
        if i == 0:
            tail, free = _tail(raw, p + 1)
            x[p] = math.copysign(tail, x[p])
            accepted = True
        else:
            free = p + 2
        if free > raw.size:
            taken[p:] = False
            after[-1] = p
            return after
        taken[p:free] = False
        taken[p] = accepted
        after[p] = free
    after[-1] = raw.size
    return after


def _under_curve(raw: Raw, i: npt.NDArray[np.int64], x: Doubles) -> npt.NDArray[np.bool_]:
    """Whether x, in the wedge of layer i, is under the curve at a height that raw gives; in float32, as published."""
    u = ((raw & np.uint64(LOW_53)) * TO_UNIT).astype(np.float32)
    decided: npt.NDArray[np.bool_] = _F[i] + u * (_F[i - 1] - _F[i]) < np.exp(-0.5 * x * x).astype(np.float32)
    return decided


def _tail(raw: Raw, p: int) -> tuple[float, int]:
    """A number beyond the tail's beginning, from uniforms at p on, and the position after those it used.

    A position beyond the block means that the block was too short.
    """
    while p + 1 < raw.size:
        x = _minus_log(int(raw[p])) * (1.0 / _TAIL)
        y = _minus_log(int(raw[p + 1]))
        p += 2
        if y + y >= x * x:
            return _TAIL + x, p
    return _TAIL, raw.size + 1


def _minus_log(raw: int) -> float:
    u = (raw & LOW_53) * TO_UNIT
    return -math.log(u) if u else math.inf


def _tables() -> tuple[npt.NDArray[np.int64], Doubles, npt.NDArray[np.float32]]:
    """k, w and f of the 128 layers: bound of |j|, width of a step of j, height of the curve at the layer's edge."""
    scale = 2.0**31
    k, w, f = np.zeros(128, np.int64), np.zeros(128), np.ones(128)
    edge = _TAIL
    base = _AREA / math.exp(-0.5 * edge * edge)
    k[0] = int(edge / base * scale)
    w[0], w[127] = base / scale, edge / scale
    f[127] = math.exp(-0.5 * edge * edge)
    for i in range(126, 0, -1):
        outer = edge
        edge = math.sqrt(-2.0 * math.log(_AREA / outer + math.exp(-0.5 * outer * outer)))
        k[i + 1] = int(edge / outer * scale)
        w[i] = edge / scale
        f[i] = math.exp(-0.5 * edge * edge)
    return k, w.astype(np.float32).astype(np.float64), f.astype(np.float32)


_K, _W, _F = _tables()
