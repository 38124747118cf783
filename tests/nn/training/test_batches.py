"""Mini-batches: each example once, in an order of its own, and on from any place."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spago.mat import ShapeError
from spago.nn import training
from spago.nn.training import Batches

WORDS = ["w" * (1 + i * 7 % 11) + str(i) for i in range(50)]


def test_padding_fills_up_at_the_end() -> None:
    values, lengths = training.pad([np.ones((2, 2), np.float32), np.ones((3, 2), np.float32)], value=-1)
    assert values.shape == (2, 3, 2)
    assert values.dtype == np.float32
    assert lengths.tolist() == [2, 3]
    assert values[0, 2].tolist() == [-1, -1]
    assert training.pad([[], [1, 2]]).values.tolist() == [[0, 0], [1, 2]]
    assert training.pad([[], [1, 2]]).values.dtype == np.dtype(int)
    assert training.pad([[1], [2, 3]], -100, np.int32).values.dtype == np.int32


@pytest.mark.parametrize(
    ("sequences", "got"), [([], "none"), ([1, 2], r"\(\), \(\)"), ([np.ones((2, 3)), np.ones((2, 4))], r"\(2, 3\), ")]
)
def test_sequences_that_do_not_fit_are_an_error(sequences: list[Any], got: str) -> None:
    with pytest.raises(ShapeError, match=f"pad: expected sequences .* but for the first axis, got {got}"):
        training.pad(sequences)


def batches_of(settings: dict[str, Any]) -> Batches[str, list[str]]:
    return Batches(WORDS[: settings.pop("count")], settings.pop("size"), list, **settings)


settings_of_batches = st.fixed_dictionaries(
    {
        "count": st.integers(0, 50),
        "size": st.integers(1, 9),
        "length": st.sampled_from([None, len]),
        "shuffle": st.booleans(),
        "seed": st.integers(0, 5),
        "buffer": st.none() | st.integers(1, 30),
        "pool": st.integers(1, 3),
        "drop_last": st.booleans(),
    }
)


@given(settings_of_batches)
def test_every_epoch_has_each_example_once(settings: dict[str, Any]) -> None:
    count, size, drops = settings["count"], settings["size"], settings["drop_last"]
    batches = batches_of(settings)
    for _ in range(2):
        epoch = list(batches)
        assert len(epoch) == len(batches)
        assert sum(len(batch) < size for batch in epoch) <= (0 if drops else 1)
        examples = list(chain.from_iterable(epoch))
        assert len(set(examples)) == len(examples) == (count // size * size if drops else count)


@given(settings_of_batches, st.integers(0, 60))
def test_an_iteration_goes_on_from_any_place(settings: dict[str, Any], done: int) -> None:
    one, other = batches_of(dict(settings)), batches_of({**settings, "seed": 9})
    stream = epochs(one)
    list(islice(stream, done))
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert other.state_dict() == one.state_dict()
    # Where the last batch of an epoch is done, nothing is left of it: so epochs are compared joined.
    assert list(islice(epochs(other), 40)) == list(islice(stream, 40))


def epochs(batches: Batches[str, list[str]]) -> Iterator[list[str]]:
    """The batches of more epochs than the test looks at."""
    return chain.from_iterable(iter(batches) for _ in range(150))


def test_each_epoch_has_its_own_order_and_a_seed_decides_it() -> None:
    batches = Batches(WORDS, 4, list, seed=1)
    first, second = list(batches), list(batches)
    assert first != second
    assert list(Batches(WORDS, 4, list, seed=1)) == first
    assert list(Batches(WORDS, 4, list, seed=2)) != first
    assert list(chain.from_iterable(Batches(WORDS, 4, list, shuffle=False))) == WORDS


def test_batches_by_length_have_little_padding() -> None:
    def padding(batches: Batches[str, list[str]]) -> int:
        return sum(max(map(len, batch)) - len(word) for batch in batches for word in batch)

    by_length = Batches(WORDS, 5, list, length=len, seed=1)
    assert padding(by_length) < 0.3 * padding(Batches(WORDS, 5, list, seed=1))
    lengths = [max(map(len, batch)) for batch in by_length]
    assert lengths != sorted(lengths)


def test_abandoned_iterations_leave_no_trace_in_the_next() -> None:
    batches = Batches(WORDS, 4, list, seed=1)
    for _ in batches:
        break
    assert len(list(batches)) == len(batches)


def test_text_of_any_size_takes_the_memory_of_the_buffer(tmp_path: Path) -> None:
    path = tmp_path / "text"
    count = 40_000
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{i} {'ü' * 100}\n" for i in range(count))
    batches = Batches(training.TextLines(path), 50, list, buffer=1000, length=len)
    tracemalloc.start()
    seen = [int(line.split()[0]) for batch in batches for line in batch]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sorted(seen) == list(range(count))
    assert peak < 4e6 < path.stat().st_size
    with pytest.raises(TypeError, match="expected examples with a length, got TextLines"):
        len(batches)


def test_lines_keep_what_is_no_end_of_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes("a \n\n b\u2028c".encode())
    assert list(training.TextLines(tmp_path / "text")) == ["a ", "", " b\u2028c"]


def test_the_state_of_other_batches_is_refused_and_changes_nothing() -> None:
    batches = Batches(WORDS, 4, list, seed=1)
    iterator = iter(batches)
    next(iterator)
    before = batches.state_dict()
    for state in (Batches(WORDS, 5, list).state_dict(), Batches(WORDS[1:], 4, list).state_dict()):
        with pytest.raises(ValueError, match="Batches: expected the state of batches with .*got"):
            batches.load_state_dict(dict(state))
    with pytest.raises(ValueError, match="Batches: expected a state of state_dict, got one of read"):
        batches.load_state_dict({"read": 1})
    with pytest.raises(ValueError, match="LockedRand: expected a state"):
        batches.load_state_dict({**before, "rng": {}})
    assert batches.state_dict() == before


def test_bad_settings_are_an_error() -> None:
    with pytest.raises(ValueError, match="Batches: expected size ≥ 1, got 0"):
        Batches(WORDS, 0, list)
    with pytest.raises(ValueError, match="Batches: expected buffer ≥ 1, got 0"):
        Batches(WORDS, 1, list, buffer=0)
    with pytest.raises(
        TypeError, match="Batches: expected examples that can be iterated over again, got list_iterator"
    ):
        Batches(iter(WORDS), 1, list)
