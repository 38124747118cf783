"""Numbers read many at a time are those that float() reads one by one."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spago.embeddings._decimal import MARGIN, parse


def parsed(tokens: list[bytes]) -> list[float]:
    text = np.frombuffer(b"7" * MARGIN + b" ".join(tokens), np.uint8)
    stops = MARGIN + np.cumsum([len(token) + 1 for token in tokens]) - 1
    starts = stops - [len(token) for token in tokens]
    values: list[float] = parse(text, starts, stops).tolist()
    return values


def expected(token: bytes) -> float:
    try:
        return float("nan") if b"_" in token else float(token)
    except ValueError:
        return float("nan")


def assert_as_float(tokens: list[bytes]) -> None:
    ours, theirs = np.array(parsed(tokens)), np.array([expected(token) for token in tokens])
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(np.signbit(ours)[theirs == 0], np.signbit(theirs)[theirs == 0])


@pytest.mark.parametrize("form", ["%.6f", "%.4f", "%.5g", "%.9g", "%.17g", "%d", "%.2e"])
@pytest.mark.parametrize("scale", [0.01, 0.3, 20, 12345])
def test_what_programs_write(form: str, scale: float) -> None:
    numbers = np.random.default_rng(1).normal(size=13_000) * scale
    assert_as_float([(form % number).encode() for number in numbers.tolist()])


def test_edges() -> None:
    tokens = "0 -0 -0.0 +0.5 .5 5. . - -. +. 1.2.3 1..2 --1 0.1.2 1e5 1E-5 1e400 nan -inf 0x1 1_0 1_0.5 0.1_2 ab a.bcd"
    tokens += " 0.1a 0:12 900719925474099.3 9007199254740993 99999999999999999 0.000000000000001 9.99999999999999"
    assert_as_float(tokens.encode().split(b" "))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_any_text(seed: int) -> None:
    draw = random.Random(seed)
    letters = "0123456789" * 4 + "..--+e_:/x"
    assert_as_float(["".join(draw.choices(letters, k=draw.randint(1, 19))).encode() for _ in range(300)])


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_any_number(numbers: list[float]) -> None:
    assert parsed([repr(number).encode() for number in numbers]) == numbers
