"""Sparse gradients: look-ups keep them by rows, and steps change these rows alone."""

from __future__ import annotations

import copy
import math
import pickle
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spago import ag, losses, nn, optim
from spago.mat import Array
from spago.nn import training

V, D = 9, 3


def a_table(seed: int = 1, dtype: Any = np.float64) -> nn.SparseParam:
    return nn.SparseParam(np.random.default_rng(seed).normal(size=(V, D)).astype(dtype), name="table")


def weights(*shape: int, seed: int = 2) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def rows_of(table: nn.SparseParam) -> list[int]:
    assert table.row_grad is not None
    return [int(row) for row in table.row_grad.rows]


# How they arrive

LOOK_UPS: dict[str, tuple[Callable[[ag.Node], ag.Node], list[int]]] = {
    "rows that repeat": (lambda x: x[[4, 1, 4, 1, 4]], [1, 4]),
    "rows from the end": (lambda x: x[np.array([[-1, 0], [8, 2]])], [0, 2, 8]),
    "one row": (lambda x: x[5], [5]),
    "a slice": (lambda x: x[6:1:-2], [2, 4, 6]),
    "a mask": (lambda x: x[np.arange(V) % 4 == 1], [1, 5]),
    "take": (lambda x: ag.take(x, [3, 3, 0]), [0, 3]),
    "no rows": (lambda x: x[np.zeros((2, 0), np.intp)], []),
    "rows of several look-ups": (lambda x: ag.concat([x[[7, 2]], x[[2]], x[3:5]], axis=0), [2, 3, 4, 7]),
}
every_look_up = pytest.mark.parametrize(("look_up", "rows"), LOOK_UPS.values(), ids=LOOK_UPS)


@every_look_up
def test_look_ups_keep_gradients_by_rows(look_up: Callable[[ag.Node], ag.Node], rows: list[int]) -> None:
    table, dense = a_table(), nn.Param(a_table().value)
    for x in (table, dense):
        y = look_up(x)
        y.backward(weights(*y.shape))
    assert rows_of(table) == rows
    assert table.has_grad
    np.testing.assert_allclose(table.grad, dense.grad, rtol=1e-14)


OTHER_USES: dict[str, Callable[[ag.Node], ag.Node]] = {
    "the whole table": lambda x: ag.sum(x * x),
    "tied weights": lambda x: ag.sum(ag.linear(x[[2, 5]], x)),
    "tied weights, looked up last": lambda x: ag.sum(x @ np.ones((D, 2))) + ag.sum(x[[2, 2]]),
    "elements": lambda x: x[2, 1] * 2,
    "elements and rows": lambda x: ag.sum(x[[3, 1]]) + x[2, 1],
    "rows and elements": lambda x: x[2, 1] + ag.sum(x[[3, 1]]),
    "columns": lambda x: ag.sum(x[..., 1]),
    "a mask of elements": lambda x: ag.sum(x[np.eye(V, D) > 0]),
}


@pytest.mark.parametrize("use", OTHER_USES.values(), ids=OTHER_USES)
def test_any_other_use_gives_an_array_of_the_whole_table(use: Callable[[ag.Node], ag.Node]) -> None:
    table, dense = a_table(), nn.Param(a_table().value)
    for x in (table, dense):
        use(x).backward()
    assert table.row_grad is None
    np.testing.assert_allclose(table.grad, dense.grad, rtol=1e-13)


def test_several_backwards_add_up_by_rows_or_as_a_whole() -> None:
    table, dense = a_table(), nn.Param(a_table().value)
    uses: list[Callable[[ag.Node], ag.Node]] = [
        lambda x: x[[4, 1]],
        lambda x: x[[1, 7]],
        lambda x: x * x,
        lambda x: x[[0]],
    ]
    for i, use in enumerate(uses):
        for x in (table, dense):
            y = use(x)
            y.backward(weights(*y.shape))
        assert (table.row_grad is not None) == (i < 2)
        np.testing.assert_allclose(table.grad, dense.grad, rtol=1e-14)
    table.zero_grad()
    assert table.grad is None
    assert not table.has_grad


def test_what_was_read_of_a_gradient_stays_as_it_was() -> None:
    table = a_table()
    table[[1]].backward()
    by_rows, as_array = table.row_grad, table.grad
    assert by_rows is not None
    with pytest.raises(ValueError, match="read-only"):
        as_array[0] = 1
    table[[1]].backward()
    assert by_rows.values.tolist() == [[1.0] * D]
    assert as_array.sum() == D
    table.grad = np.ones((V, D))
    whole = table.grad
    table[[1]].backward()
    assert whole.sum() == V * D
    assert table.grad.sum() == (V + 1) * D


def test_threads_may_add_rows_at_the_same_time() -> None:
    table = a_table()

    def work(row: int) -> None:
        for _ in range(50):
            table[[row, 8]].backward()

    threads = [threading.Thread(target=work, args=[row]) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table.grad[:, 0].tolist() == [50.0] * 4 + [0.0] * 4 + [200.0]


def test_anomalies_are_found_in_rows() -> None:
    table = a_table()
    with pytest.raises(Exception, match="NaN"), ag.detect_anomaly():
        (table[[1]] * np.nan).backward()


def test_a_gradient_follows_its_table_to_another_dtype() -> None:
    table = a_table()
    table[[4]].backward()
    table.to(np.float32)
    assert table.row_grad is not None
    assert table.dtype == table.row_grad.values.dtype == table.grad.dtype == np.float32
    table.zero_grad()
    table.to(np.float64)
    assert table.dtype == np.float64


def test_copies_and_pickles_have_no_gradient_and_stay_sparse() -> None:
    table = a_table()
    table[[4]].backward()
    for other in (copy.deepcopy(table), pickle.loads(pickle.dumps(table))):
        assert type(other) is nn.SparseParam
        assert not other.has_grad
        other[[2]].backward()
        assert rows_of(other) == [2]


# Steps

METHODS: dict[str, Callable[..., optim.Optimizer]] = {
    "SGD": lambda p, **kw: optim.SGD(p, **{"learning_rate": 0.1} | kw),
    "SGD, decay": lambda p, **kw: optim.SGD(p, 0.1, weight_decay=0.1, **kw),
    "SGD, momentum": lambda p, **kw: optim.SGD(p, 0.1, momentum=0.9, **kw),
    "SGD, Nesterov": lambda p, **kw: optim.SGD(p, 0.1, momentum=0.9, nesterov=True, **kw),
    "AdaGrad": lambda p, **kw: optim.AdaGrad(p, 0.1, **kw),
    "Adam": lambda p, **kw: optim.Adam(p, 0.1, **kw),
    "Adam, reference": lambda p, **kw: optim.Adam(p, 0.1, as_reference=True, **kw),
    "AdamW": lambda p, **kw: optim.AdamW(p, 0.1, weight_decay=0.1, **kw),
    "RAdam": lambda p, **kw: optim.RAdam(p, 0.1, **kw),
    "RMSProp": lambda p, **kw: optim.RMSProp(p, 0.1, **kw),
    "LAMB": lambda p, **kw: optim.LAMB(p, 0.1, **kw),
}
every_method = pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)

TOUCHED: tuple[list[int], ...] = ([1, 4, 4], [4], [1, 7], [], [4, 1])


def step(optimizer: optim.Optimizer, x: ag.Node, rows: list[int], seed: int = 0) -> None:
    x[np.array(rows, np.intp)].backward(weights(len(rows), x.shape[1], seed=seed))
    optimizer.step()


@every_method
def test_a_step_does_to_the_rows_what_it_does_to_a_parameter_of_these_rows(
    make: Callable[..., optim.Optimizer],
) -> None:
    table, alone = a_table(), nn.Param(a_table().value[[1, 4]])
    optimizer, other = make(table), make(alone)
    before = table.value.copy()
    for seed in range(4):
        step(optimizer, table, [4, 1, 4], seed)
        step(other, alone, [1, 0, 1], seed)
    np.testing.assert_allclose(table.value[[1, 4]], alone.value, rtol=1e-12)
    rest = [0, 2, 3, 5, 6, 7, 8]
    np.testing.assert_array_equal(table.value[rest], before[rest])
    for name, array in (table.payload.arrays if table.payload else {}).items():
        assert not array[rest].any()
        assert alone.payload is not None
        np.testing.assert_allclose(array[[1, 4]], alone.payload.arrays[name], rtol=1e-12)


@every_method
def test_rows_that_are_not_used_rest_with_their_state(make: Callable[..., optim.Optimizer]) -> None:
    table = a_table()
    optimizer = make(table)
    for seed, rows in enumerate(TOUCHED):
        rest = sorted(set(range(V)) - set(rows))
        value = table.value.copy()
        state = copy.deepcopy(table.payload.arrays) if table.payload else {}
        step(optimizer, table, rows, seed)
        np.testing.assert_array_equal(table.value[rest], value[rest])
        for name, array in state.items():
            assert table.payload is not None
            np.testing.assert_array_equal(table.payload.arrays[name][rest], array[rest])
        assert (table.value[rows] != value[rows]).all()
    assert optimizer.steps == len(TOUCHED)


@pytest.mark.parametrize("name", ["SGD", "AdaGrad"])
def test_without_memory_of_their_own_rows_are_trained_as_the_whole_table_is(name: str) -> None:
    table, dense = a_table(), nn.Param(a_table().value)
    optimizer, other = METHODS[name](table), METHODS[name](dense)
    for seed, rows in enumerate(TOUCHED):
        step(optimizer, table, rows, seed)
        step(other, dense, rows, seed)
    np.testing.assert_allclose(table.value, dense.value, rtol=1e-13)


@every_method
def test_a_gradient_of_the_whole_table_makes_a_step_of_the_whole_table(make: Callable[..., optim.Optimizer]) -> None:
    table, dense = a_table(), nn.Param(a_table().value)
    optimizer, other = make(table), make(dense)
    for _ in range(3):
        for x, optimizer_of_x in ((table, optimizer), (dense, other)):
            ag.sum(ag.linear(x[[2, 5]], x)).backward()
            optimizer_of_x.step()
    np.testing.assert_allclose(table.value, dense.value, rtol=1e-12)


def test_values_and_state_change_in_place_and_gradients_are_cleared() -> None:
    table = a_table()
    value = table.value
    optimizer = optim.Adam(table)
    step(optimizer, table, [1])
    assert table.payload is not None
    m = table.payload.arrays["m"]
    step(optimizer, table, [1])
    assert table.value is value
    assert table.payload.arrays["m"] is m
    assert not table.has_grad
    table[[3]].backward()
    optimizer.step(zero_grad=False)
    assert rows_of(table) == [3]


def test_a_table_that_is_mapped_from_a_file_is_copied_once() -> None:
    table = a_table()
    table.value.flags.writeable = False
    mapped = table.value
    optimizer = optim.SGD(table, 1.0)
    step(optimizer, table, [1])
    assert table.value is not mapped
    assert (table.value[1] != mapped[1]).all()
    np.testing.assert_array_equal(table.value[[0, 2]], mapped[[0, 2]])


def test_a_shared_table_is_stepped_once() -> None:
    once, shared = a_table(), a_table()
    step(optim.Adam(once), once, [1, 2])
    step(optim.Adam([{"params": [shared, shared]}, {"params": shared}]), shared, [1, 2])
    np.testing.assert_array_equal(once.value, shared.value)


def test_a_step_takes_the_memory_of_the_rows_not_of_the_table() -> None:
    table = nn.SparseParam(np.zeros((100_000, 20), np.float32))
    optimizer = optim.Adam(table, clip_norm=1.0)
    step(optimizer, table, [7, 99_999])
    tracemalloc.start()
    step(optimizer, table, [7, 500])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


# Clipping, and what is refused


def test_norms_are_those_of_the_rows() -> None:
    table, beside = a_table(), nn.Param(np.zeros(2))
    table[[3, 1, 3]].backward()
    beside.grad = np.array([1.0, -2.0])
    for p, norm in ((1.0, 12.0), (2.0, math.sqrt(20.0)), (math.inf, 2.0)):
        assert optim.clip_by_norm([table, beside], 100.0, p) == pytest.approx(norm)
    optim.clip_by_norm([table, beside], 0.5)
    assert rows_of(table) == [1, 3]
    assert np.linalg.norm(np.concatenate([table.grad.ravel(), beside.grad])) == pytest.approx(0.5, rel=1e-5)
    optim.clip_by_value([table, beside], 0.1)
    assert rows_of(table) == [1, 3]
    assert table.grad.max() == 0.1
    assert beside.grad.tolist() == pytest.approx([0.1, -0.1])


@pytest.mark.parametrize("clip", [{"clip_norm": 0.5}, {"clip_value": 0.3}])
def test_a_step_clips_rows_as_it_does_whole_gradients(clip: dict[str, Any]) -> None:
    table, dense = a_table(), nn.Param(a_table().value)
    for x in (table, dense):
        step(optim.SGD(x, 1.0, **clip), x, [2, 6, 2])
    np.testing.assert_allclose(table.value, dense.value, rtol=1e-14)


def test_nan_in_a_row_names_the_table_and_changes_nothing() -> None:
    table = a_table()
    optimizer = optim.Adam(table)
    step(optimizer, table, [1, 2])
    before, state = table.value.copy(), copy.deepcopy(table.payload)
    table[[1, 2]].backward(np.array([[1.0, np.nan, 1.0], [np.inf, 0.0, 0.0]]))
    with pytest.raises(FloatingPointError, match="got NaN or infinity in 2 of 6 elements for table"):
        optimizer.step()
    np.testing.assert_array_equal(table.value, before)
    assert state is not None
    assert table.payload is not None
    np.testing.assert_array_equal(table.payload.arrays["m"], state.arrays["m"])
    assert rows_of(table) == [1, 2]
    optimizer.on_nan = "skip"
    assert not optimizer.step()
    assert not table.has_grad
    assert (optimizer.steps, optimizer.skipped) == (1, 1)


def test_state_of_another_shape_is_refused_before_anything_changes() -> None:
    table = a_table()
    table.payload = nn.Payload("Adam", {"m": np.zeros((2, D)), "v": np.zeros((V, D))})
    before = table.value.copy()
    with pytest.raises(ValueError, match=r"expected for table the state of Adam, float64 of shape \(9, 3\), got"):
        step(optim.Adam(table), table, [1])
    np.testing.assert_array_equal(table.value, before)


# A model


class Words(nn.Module):
    """The mean of the vectors of words, and a class of it."""

    def __init__(self, sparse: bool = True, dtype: Any = np.float32) -> None:
        self.embedding = nn.Embedding(50, 4, padding_idx=0, sparse=sparse, dtype=dtype)
        self.output = nn.Linear(4, 3, dtype=dtype)

    def forward(self, words: Any) -> ag.Node:
        y: ag.Node = self.output(ag.mean(self.embedding(words), axis=1))
        return y


BATCHES = [(np.random.default_rng(i).integers(0, 50, (4, 5)), np.array([0, 1, 2, 0])) for i in range(6)]


def loss(model: Words, batch: tuple[Any, Any]) -> ag.Node:
    return losses.cross_entropy(model(batch[0]), batch[1])


def test_an_embedding_says_whether_it_is_sparse() -> None:
    assert repr(nn.Embedding(5, 2, sparse=True)).startswith("Embedding(5, 2, sparse=True)")
    assert type(nn.Embedding(5, 2).weight) is nn.Param


def test_padding_receives_no_gradient() -> None:
    embedding = nn.Embedding(V, D, padding_idx=0, sparse=True)
    embedding([[0, 3], [3, 0]]).backward()
    assert isinstance(embedding.weight, nn.SparseParam)
    assert rows_of(embedding.weight) == [3]


def test_the_loop_accumulates_and_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    start = Words()

    def run(folder: str, epochs: int) -> Words:
        model = copy.deepcopy(start)
        path = tmp_path / folder
        optimizer = optim.Adam(model, 0.05, clip_norm=1.0)
        training.fit(model, loss, BATCHES, optimizer, epochs=epochs, accumulate=2, checkpoint=path, progress=False)
        return model

    unbroken = run("unbroken", 4)
    run("run", 2)
    resumed = run("run", 4)
    np.testing.assert_array_equal(resumed.embedding.weight.value, unbroken.embedding.weight.value)
    assert (tmp_path / "run").read_bytes() == (tmp_path / "unbroken").read_bytes()
    assert (resumed.embedding.weight.value[1:] != start.embedding.weight.value[1:]).any()


def test_a_model_file_does_not_care_how_the_table_is_trained(tmp_path: Path) -> None:
    model = Words()
    nn.save(model, tmp_path / "model")
    for sparse in (True, False):
        other = Words(sparse)
        nn.load(other, tmp_path / "model")
        np.testing.assert_array_equal(other.embedding.weight.value, model.embedding.weight.value)
