"""Packing: padded batches as rows, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spago.mat import Packing, ShapeError, check_lengths

batches = st.integers(1, 9).flatmap(
    lambda steps: st.tuples(st.lists(st.integers(1, steps), min_size=1, max_size=7), st.just(steps))
)


def real(lengths: list[int], steps: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.arange(steps) < np.array(lengths)[:, None]


@given(batches)
def test_unpack_undoes_pack(batch: tuple[list[int], int]) -> None:
    lengths, steps = batch
    packing = Packing.of(lengths, steps)
    padded = np.random.default_rng(0).normal(size=(len(lengths), steps, 2)) * real(lengths, steps)[..., None]
    for index in (packing.forward, packing.backward):
        np.testing.assert_array_equal(packing.unpack(packing.pack(padded, index), index), padded)


@given(batches)
def test_rows_stand_step_by_step(batch: tuple[list[int], int]) -> None:
    lengths, steps = batch
    packing = Packing.of(lengths, steps)
    sequence, step = np.divmod(packing.forward, steps)
    assert len(packing.forward) == sum(lengths) == sum(packing.sizes)
    assert list(packing.sizes) == sorted(packing.sizes, reverse=True)
    for t, (start, size) in enumerate(zip(packing.offsets, packing.sizes, strict=True)):
        assert (step[start : start + size] == t).all()
        np.testing.assert_array_equal(sequence[start : start + size], packing.order[:size])
    np.testing.assert_array_equal(packing.order[packing.place], np.arange(len(lengths)))


@given(batches)
def test_backward_reads_each_sequence_from_its_end(batch: tuple[list[int], int]) -> None:
    lengths, steps = batch
    packing = Packing.of(lengths, steps)
    sequence, step = np.divmod(packing.forward, steps)
    np.testing.assert_array_equal(packing.backward, sequence * steps + np.array(lengths)[sequence] - 1 - step)


@given(batches)
def test_last_and_previous_point_to_rows_of_the_same_sequence(batch: tuple[list[int], int]) -> None:
    lengths, steps = batch
    packing = Packing.of(lengths, steps)
    sequence, step = np.divmod(packing.forward, steps)
    np.testing.assert_array_equal(sequence[packing.last], np.arange(len(lengths)))
    np.testing.assert_array_equal(step[packing.last], np.array(lengths) - 1)
    np.testing.assert_array_equal(sequence[packing.previous], sequence[len(lengths) :])
    np.testing.assert_array_equal(step[packing.previous], step[len(lengths) :] - 1)


def test_bad_lengths_are_named() -> None:
    with pytest.raises(ShapeError, match=r"lengths: expected values from 1 to 3, got 1 to 4"):
        Packing.of([1, 4], steps=3)
    with pytest.raises(ShapeError, match=r"lengths: expected shape \(B,\), one for each sequence, got \(1, 2\)"):
        Packing.of([[1, 2]], steps=3)
    with pytest.raises(ShapeError, match=r"lengths: expected shape \(3,\), one for each sequence, got \(2,\)"):
        check_lengths([1, 2], steps=3, batch=3)
    with pytest.raises(
        TypeError, match=r"lengths: expected integers \(B,\) or a mask of booleans \(B, T\), got float64"
    ):
        Packing.of([1.5], steps=3)
