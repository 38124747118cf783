"""Random streams: vectorised draws equal single ones, and leave the generator in the same state."""

import copy
import json
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalar_rand import MASK_64, ScalarRand, state_before
from spago import mat
from spago.mat import _ziggurat
from spago.mat.rand import LockedRand, default_rng, manual_seed

seeds = st.integers(0, MASK_64)
N_REFUSED = 12297829382473034411  # a third of the stream is refused

DRAWS: dict[str, tuple[Callable[[LockedRand, Any], Any], Callable[[ScalarRand], Any]]] = {
    "uint64": (lambda rng, n: rng.uint64(n), lambda one: one.uint64()),
    "uint32": (lambda rng, n: rng.uint32(n), lambda one: one.uint64() >> 32),
    "int63": (lambda rng, n: rng.int63(n), lambda one: one.uint64() & (2**63 - 1)),
    "int31": (lambda rng, n: rng.int31(n), lambda one: one.uint64() >> 33),
    "float64": (lambda rng, n: rng.float64(n), lambda one: one.float64()),
    "float32": (lambda rng, n: rng.float32(n), lambda one: one.float32()),
    "normal": (lambda rng, n: rng.normal(n), lambda one: one.normal()),
    "uniform": (lambda rng, n: rng.uniform(n, -2.0, 5.0), lambda one: one.float64() * 7.0 + -2.0),
    "bernoulli": (lambda rng, n: rng.bernoulli(n, 0.3, np.float64), lambda one: float(one.float64() >= 0.3)),
    "intn(7)": (lambda rng, n: rng.intn(7, n), lambda one: one.uint64n(7)),
    "intn(64)": (lambda rng, n: rng.intn(64, n), lambda one: one.uint64n(64)),
    "uint64n": (lambda rng, n: rng.uint64n(N_REFUSED, n), lambda one: one.uint64n(N_REFUSED)),
    "perm": (lambda rng, n: [rng.perm(n)], lambda one: None),
}
SINGLE = [name for name in DRAWS if name != "perm"]


def number(rng: LockedRand) -> int:
    return int(rng.state()["state"])


def at(state: int) -> LockedRand:
    rng = LockedRand(0)
    rng.set_state({"state": str(state), "unread": ""})
    return rng


@given(seed=seeds, plan=st.lists(st.tuples(st.sampled_from(SINGLE), st.integers(0, 70)), max_size=8))
def test_any_draws_in_any_order_are_those_of_single_draws(seed: int, plan: list[tuple[str, int]]) -> None:
    rng, one = LockedRand(seed), ScalarRand.seeded(seed)

    for name, size in plan:
        many, single = DRAWS[name]
        np.testing.assert_array_equal(many(rng, size), [single(one) for _ in range(size)])

    assert number(rng) == one.state


@pytest.mark.parametrize("seed", [0, 42, MASK_64])
def test_a_long_normal_stream_is_that_of_single_draws(seed: int) -> None:
    # 40,000 draws: 480 in wedges, 12 of these on the heels of another, 20 in the tail, and two ends of blocks.
    rng, one = LockedRand(seed), ScalarRand.seeded(seed)

    np.testing.assert_array_equal(rng.normal(40_000), [one.normal() for _ in range(40_000)])
    assert number(rng) == one.state


@pytest.mark.parametrize("size", [1, 2, 3, 17, 1000])
def test_a_normal_stream_in_parts_is_the_same_stream(size: int) -> None:
    whole, parts = LockedRand(7), LockedRand(7)

    expected = whole.normal(6000)

    np.testing.assert_array_equal(
        np.concatenate([parts.normal(size) for _ in range(6000 // size + 1)])[:6000], expected
    )


def test_the_tail_and_the_wedge_end_where_single_draws_end() -> None:
    for upper in (0x7FFFFF80, 0x80000000, 0x80000080, 0x7FFFFFFF, 0x80000001):
        state = state_before(upper << 32)
        for size in (1, 2, 5):
            rng, one = at(state), ScalarRand(state)
            np.testing.assert_array_equal(rng.normal(size), [one.normal() for _ in range(size)])
            assert number(rng) == one.state


def test_a_tail_longer_than_its_block_is_drawn_from_a_longer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    tails = []
    tail = _ziggurat._tail

    def reluctant(raw: _ziggurat.Raw, p: int) -> tuple[float, int]:
        tails.append(raw.size)
        return tail(raw, p) if raw.size > 60 else (0.0, raw.size + 1)

    monkeypatch.setattr(_ziggurat, "_tail", reluctant)
    state = state_before(0x7FFFFF80 << 32)
    rng, one = at(state), ScalarRand(state)

    assert float(rng.normal()) == one.normal()
    assert number(rng) == one.state
    assert tails == [17, 33, 65]


def test_the_logarithm_of_zero_is_no_error() -> None:
    assert _ziggurat._minus_log(1 << 53) == np.inf


def test_a_float32_that_rounds_to_1_is_drawn_again() -> None:
    state = state_before(2**53 - 1)

    rng, one = at(state), ScalarRand(state)

    np.testing.assert_array_equal(rng.float32(3), [one.float32() for _ in range(3)])
    assert number(rng) == one.state
    assert rng.float32(100_000).max() < 1


def test_integers_of_the_last_incomplete_run_are_refused() -> None:
    state = state_before(MASK_64)
    for n in (7, 10, 2**63 - 1):
        rng, one = at(state), ScalarRand(state)
        np.testing.assert_array_equal(rng.uint64n(n, 4), [one.uint64n(n) for _ in range(4)])
        assert number(rng) == one.state


@given(seed=seeds, n=st.integers(0, 60))
def test_permutations_are_those_of_single_draws(seed: int, n: int) -> None:
    rng, one = LockedRand(seed), ScalarRand.seeded(seed)
    letters = list(range(n))

    assert rng.perm(n).tolist() == one.perm(n)
    rng.shuffle(letters)
    assert letters == one.shuffled(n)
    assert number(rng) == one.state


@pytest.mark.parametrize("place", range(6))
def test_a_refused_number_shifts_the_rest_of_a_permutation(place: int) -> None:
    # The number at this place of the stream is 2^64 - 1, which no bound but a power of two accepts.
    one = ScalarRand(state_before(MASK_64))
    inverse = pow(47026247687942121848144207491837523525, -1, 2**128)
    for _ in range(place):
        one.state = (one.state - 117397592171526113268558934119004209487) * inverse % 2**128
    rng = at(one.state)

    assert rng.perm(6).tolist() == one.perm(6)
    assert number(rng) == one.state


def test_rows_of_an_array_are_shuffled_like_the_elements_of_a_list() -> None:
    rows = np.arange(20.0).reshape(10, 2)
    numbers = list(range(10))

    LockedRand(3).shuffle(rows)
    LockedRand(3).shuffle(numbers)

    np.testing.assert_array_equal(rows[:, 0] / 2, numbers)


@given(seed=seeds, sizes=st.lists(st.integers(0, 20), max_size=8))
def test_bytes_left_by_a_read_come_first_in_the_next(seed: int, sizes: list[int]) -> None:
    rng, one = LockedRand(seed), ScalarRand.seeded(seed)
    stream = b"".join(one.uint64().to_bytes(8, "little") for _ in range(sum(sizes) // 8 + 1))

    assert b"".join(rng.read(size) for size in sizes) == stream[: sum(sizes)]


def test_other_draws_leave_unread_bytes_alone_and_a_seed_drops_them() -> None:
    rng = LockedRand(42)
    first = rng.read(3)
    rng.uint64(2)

    assert (first + rng.read(5)).hex() == "1a571e7e4d774caf"
    rng.read(1)
    rng.seed(42)
    assert rng.read(8).hex() == "1a571e7e4d774caf"


@pytest.mark.parametrize("name", [name for name in DRAWS if name != "perm"])
def test_a_shape_is_filled_row_by_row(name: str) -> None:
    draw = DRAWS[name][0]
    shaped = draw(LockedRand(5), (2, 3, 4))

    assert shaped.shape == (2, 3, 4)
    np.testing.assert_array_equal(shaped.ravel(), draw(LockedRand(5), 24))
    assert draw(LockedRand(5), None).shape == ()


def test_dtypes_round_what_float64_gives() -> None:
    exact = LockedRand(1).normal(50, 1.0, 3.0)

    np.testing.assert_array_equal(LockedRand(1).normal(50, 1.0, 3.0, np.float32), exact.astype(np.float32), strict=True)
    assert LockedRand(1).uniform(3, dtype=np.float32).dtype == np.float32
    assert LockedRand(1).bernoulli(3).dtype == np.float32
    assert LockedRand(1).intn(3, 2).dtype == np.int64


def test_states_copies_and_pickles_continue_the_stream() -> None:
    rng = LockedRand(9)
    rng.read(3)
    rng.normal(5)
    restored = LockedRand(0)
    restored.set_state(json.loads(json.dumps(rng.state())))

    for twin in (restored, copy.copy(rng), copy.deepcopy(rng), pickle.loads(pickle.dumps(rng))):
        assert twin.state() == rng.state()
    expected = rng.read(10), rng.uint64(3).tolist()
    assert (restored.read(10), restored.uint64(3).tolist()) == expected


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"state": "1"},
        {"state": "one", "unread": ""},
        {"state": "1", "unread": "xyz"},
        {"state": str(2**128), "unread": ""},
        {"state": "-1", "unread": ""},
        {"state": "1", "unread": "00" * 8},
        {"state": None, "unread": ""},
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(state: Any) -> None:
    rng = LockedRand(4)

    with pytest.raises(mat.FormatError, match="LockedRand: expected a state"):
        rng.set_state(state)
    assert rng.state() == LockedRand(4).state()


def test_threads_share_a_generator_without_losing_or_repeating_a_draw() -> None:
    rng, drawn = LockedRand(6), []

    def draw() -> None:
        for _ in range(50):
            drawn.extend(rng.uint64(20).tolist())

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(drawn) == sorted(LockedRand(6).uint64(4000).tolist())


def test_the_generator_of_the_process_starts_where_it_is_told() -> None:
    rng = default_rng()
    before = rng.state()

    assert manual_seed(12345) is rng
    assert rng.uint64(1).tolist() == [1984516348170966878]
    rng.set_state(before)


def test_moments_are_those_of_the_distributions() -> None:
    rng, n = LockedRand(2024), 1_000_000
    normal = rng.normal(n)
    standard_error = 1 / np.sqrt(n)

    assert abs(normal.mean()) < 4 * standard_error
    assert abs(normal.var() - 1) < 4 * np.sqrt(2) * standard_error
    assert abs(rng.float64(n).mean() - 0.5) < 4 * np.sqrt(1 / 12) * standard_error
    assert abs(rng.bernoulli(n, 0.3).mean(dtype=float) - 0.7) < 4 * np.sqrt(0.21) * standard_error
    # Kolmogorov-Smirnov: D √n exceeds 1.95 once in 1000 streams.
    distance = mat.normal_cdf(np.sort(normal)) - (np.arange(n) + 0.5) / n
    assert np.abs(distance).max() * np.sqrt(n) < 1.95


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: LockedRand(-1), r"expected a seed from 0 to 2\^64 - 1, got -1"),
        (lambda rng: rng.seed(2**64), r"expected a seed from 0 to 2\^64 - 1, got 18446744073709551616"),
        (lambda rng: rng.intn(0), r"intn: expected n from 1 to 2\^63 - 1, got 0"),
        (lambda rng: rng.intn(2**63), r"intn: expected n from 1 to 2\^63 - 1, got 9223372036854775808"),
        (lambda rng: rng.uint64n(0), r"uint64n: expected n from 1 to 2\^64 - 1, got 0"),
        (lambda rng: rng.uint64n(2**64), r"uint64n: expected n from 1 to 2\^64 - 1, got 18446744073709551616"),
        (lambda rng: rng.float64((2, -1)), r"expected a shape of sizes of at least 0, got \(2, -1\)"),
        (lambda rng: rng.read(-1), "read: expected a number of bytes of at least 0, got -1"),
        (lambda rng: rng.perm(-1), "perm: expected a number of elements of at least 0, got -1"),
    ],
)
def test_impossible_requests_are_refused(call: Callable[[LockedRand], Any], message: str) -> None:
    rng = LockedRand(0)

    with pytest.raises(ValueError, match=message):
        call(rng)
    assert rng.state() == LockedRand(0).state()


def test_the_greatest_bounds_are_accepted() -> None:
    assert int(LockedRand(0).uint64n(MASK_64)) < MASK_64
    assert int(LockedRand(0).intn(2**63 - 1)) < 2**63 - 1
    assert LockedRand(0).intn(1, 5).tolist() == [0] * 5
