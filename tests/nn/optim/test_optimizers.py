"""Optimizers: what a step does, to what, and what it refuses. Rules are compared in golden/ and oracle/."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from spago import ag, nn, optim
from spago.mat import Array
from spago.optim import _blocks

Make = Callable[..., optim.Optimizer]

METHODS: dict[str, Make] = {
    "SGD": lambda params, **kw: optim.SGD(params, **{"learning_rate": 0.1} | kw),
    "SGD with momentum": lambda params, **kw: optim.SGD(params, **{"learning_rate": 0.1, "momentum": 0.9} | kw),
    "SGD with Nesterov": lambda params, **kw: optim.SGD(
        params, **{"learning_rate": 0.1, "momentum": 0.9, "nesterov": True} | kw
    ),
    "AdaGrad": optim.AdaGrad,
    "Adam": optim.Adam,
    "AdamW": optim.AdamW,
    "RAdam": optim.RAdam,
    "RMSProp": optim.RMSProp,
    "LAMB": optim.LAMB,
}
every_method = pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)
every_method_with_state = pytest.mark.parametrize("make", list(METHODS.values())[1:], ids=list(METHODS)[1:])


def parameters(*shapes: tuple[int, ...], dtype: Any = np.float64, seed: int = 1) -> list[nn.Param]:
    rng = np.random.default_rng(seed)
    return [nn.Param(rng.normal(size=shape).astype(dtype), name=f"p{i}") for i, shape in enumerate(shapes)]


def give_gradients(params: list[nn.Param], seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for p in params:
        p.grad = rng.normal(size=p.shape).astype(p.dtype)


def train(optimizer: optim.Optimizer, params: list[nn.Param], steps: int = 3, start: int = 0) -> None:
    for step in range(start, start + steps):
        give_gradients(params, step)
        optimizer.step()


def values(params: list[nn.Param]) -> list[Array]:
    return [p.value.copy() for p in params]


def assert_same(params: list[nn.Param], expected: list[Array]) -> None:
    for p, value in zip(params, expected, strict=True):
        np.testing.assert_array_equal(p.value, value)


# What a step does


@every_method
def test_a_step_goes_down_a_quadratic(make: Make) -> None:
    (w,) = parameters((5,))
    target = np.full(5, 0.5)
    optimizer = make(w, learning_rate=0.01)
    before = float(((w.value - target) ** 2).sum())
    for _ in range(50):
        ((w - target) * (w - target)).backward(np.ones(5))
        assert optimizer.step()
    assert float(((w.value - target) ** 2).sum()) < 0.9 * before
    assert optimizer.steps == 50


@every_method
def test_values_change_in_place_and_gradients_are_cleared(make: Make) -> None:
    params = parameters((3,), (2, 2), (), (0, 4))
    arrays = [p.value for p in params]
    optimizer = make(params)
    train(optimizer, params)
    assert all(p.value is array and p.grad is None for p, array in zip(params, arrays, strict=True))
    give_gradients(params)
    kept = [p.grad.copy() for p in params]
    optimizer.step(zero_grad=False)
    for p, grad in zip(params, kept, strict=True):
        np.testing.assert_array_equal(p.grad, grad)
    optimizer.zero_grad()
    assert all(p.grad is None for p in params)


@every_method
def test_parameters_without_gradient_are_left_alone(make: Make) -> None:
    a, b, c = parameters((3,), (3,), (3,))
    before = values([b, c])
    optimizer = make([a, b, c])
    give_gradients([a, c])
    c.requires_grad = False
    optimizer.step()
    assert_same([b, c], before)
    assert b.payload is None
    assert c.payload is None


@every_method
def test_a_shared_parameter_is_stepped_once(make: Make) -> None:
    (once,), (shared,) = parameters((3,)), parameters((3,))
    train(make([once]), [once])
    train(make([{"params": [shared, shared]}, {"params": shared, "learning_rate": 9.0}]), [shared])
    assert_same([shared], values([once]))


@every_method
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_do_not_depend_on_how_arrays_are_grouped(
    make: Make, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = [(7,), (3, 5), (), (50, 60), (7,), (1, 1, 3), (0,)]
    together, alone, blocked = (parameters(*shapes, dtype=dtype) for _ in range(3))
    train(make(together), together)
    for i, p in enumerate(alone):
        optimizer = make([p])
        for step in range(3):
            give_gradients(alone, step)
            for other in alone[:i] + alone[i + 1 :]:
                other.zero_grad()
            optimizer.step()
    monkeypatch.setattr(_blocks, "BLOCK", 64)
    monkeypatch.setattr(_blocks, "_SMALL", 4)
    monkeypatch.setattr(_blocks, "_PACK", 8)
    train(make(blocked), blocked)
    # A norm over blocks, of LAMB, is a sum in another order.
    for p, q, r in zip(together, alone, blocked, strict=True):
        assert p.dtype == dtype
        np.testing.assert_allclose(q.value, p.value, rtol=1e-6 if dtype == np.float32 else 1e-14)
        np.testing.assert_allclose(r.value, p.value, rtol=1e-6 if dtype == np.float32 else 1e-14)


@every_method
def test_results_do_not_depend_on_the_number_of_threads(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_blocks, "BLOCK", 1 << 10)
    before = ag.get_num_threads()
    trained: list[list[nn.Param]] = []
    try:
        for threads in (1, 3):
            ag.set_num_threads(threads)
            trained.append(parameters((5000,), (70, 80), (3,), (2000,)))
            train(make(trained[-1]), trained[-1])
    finally:
        ag.set_num_threads(before)
    assert_same(trained[0], values(trained[1]))


@every_method
@pytest.mark.parametrize("size", [6, 3000])
def test_memory_may_lie_in_any_order(make: Make, size: int) -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(size, 4))
    plain = nn.Param(numbers.copy())
    odd = [nn.Param(np.asfortranarray(numbers)), nn.Param(np.repeat(numbers, 2, axis=0)[::2])]
    for p in (plain, *odd):
        optimizer = make(p)
        for step in range(3):
            p.grad = np.asfortranarray(np.random.default_rng(step).normal(size=(size, 4)))
            optimizer.step()
    for p in odd:
        np.testing.assert_allclose(p.value, plain.value, rtol=1e-14)


@every_method
def test_a_read_only_value_is_replaced(make: Make) -> None:
    plain, frozen = parameters((3,)), parameters((3,))
    frozen[0].value.flags.writeable = False
    mapped = frozen[0].value
    before = mapped.copy()
    train(make(plain), plain)
    train(make(frozen), frozen)
    assert_same(frozen, values(plain))
    np.testing.assert_array_equal(mapped, before)


def test_the_state_lives_with_the_parameter_under_the_papers_names() -> None:
    states = {"SGD with momentum": "v", "AdaGrad": "m", "RMSProp": "v", "Adam": "mv", "AdamW": "mv", "RAdam": "mv"}
    for name, letters in states.items():
        (p,) = parameters((2, 3))
        train(METHODS[name](p), [p])
        assert p.payload is not None
        assert sorted(p.payload.arrays) == sorted(letters)
        assert all(array.shape == (2, 3) and array.dtype == p.dtype for array in p.payload.arrays.values())
    (p,) = parameters((2, 3))
    train(optim.SGD(p), [p])
    assert p.payload is None


def test_adam_is_its_equations() -> None:
    (p,) = parameters((4,))
    w, m, v = p.value.copy(), np.zeros(4), np.zeros(4)
    optimizer = optim.Adam(p, 0.01, betas=(0.8, 0.95), eps=1e-3)
    for t in range(1, 6):
        g = np.random.default_rng(t).normal(size=4)
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
        w -= 0.01 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
        p.grad = g
        optimizer.step()
        np.testing.assert_allclose(p.value, w, rtol=1e-13)


@pytest.mark.parametrize("as_reference", [False, True])
def test_lamb_is_its_equations(as_reference: bool) -> None:
    p, q = params = parameters((4,), (2, 3))
    optimizer = optim.LAMB(params, 0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1, as_reference=as_reference)
    expected = []
    for parameter in (p, q):
        w, m, v = parameter.value.copy(), np.zeros(parameter.shape), np.zeros(parameter.shape)
        for t in range(1, 4):
            g = np.cos(t + np.arange(w.size)).reshape(w.shape)
            m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
            first, second = 1 - 0.8**t, 1 - 0.95**t
            if as_reference:
                u, rate = m / (np.sqrt(v) + 1e-3) + 0.1 * w, 0.01 * math.sqrt(second) / first
            else:
                u, rate = m / first / (np.sqrt(v / second) + 1e-3) + 0.1 * w, 0.01
            w = w - rate * np.linalg.norm(w) / np.linalg.norm(u) * u
        expected.append(w)
    for t in range(1, 4):
        for parameter in (p, q):
            parameter.grad = np.cos(t + np.arange(parameter.size)).reshape(parameter.shape)
        optimizer.step()
    for parameter, w in zip((p, q), expected, strict=True):
        np.testing.assert_allclose(parameter.value, w, rtol=1e-12)


def test_lamb_takes_a_plain_step_where_a_norm_is_0() -> None:
    p = nn.Param(np.zeros(3))
    p.grad = np.array([1.0, -1.0, 0.0])
    optim.LAMB(p, 0.5, eps=0.0 + 1e-12).step()
    np.testing.assert_allclose(p.value, [-0.5, 0.5, 0.0], rtol=1e-9)


def test_radam_begins_with_momentum_alone() -> None:
    (p,) = parameters((3,))
    start = p.value.copy()
    p.grad = np.array([1e-3, 1.0, 1e3])
    optim.RAdam(p, 0.1).step()
    np.testing.assert_allclose(start - p.value, [1e-4, 0.1, 100.0])
    (q,) = parameters((3,))
    q.grad = np.array([1e-3, 1.0, 1e3])
    optim.RAdam(q, 0.1, as_reference=True).step()
    np.testing.assert_allclose(start - q.value, [0.1, 0.1, 0.1], rtol=1e-4)


def test_a_smaller_rate_slows_what_is_under_way_only_as_in_pytorch() -> None:
    moved = []
    for rate_in_velocity in (True, False):
        p = nn.Param(np.zeros(1))
        optimizer = optim.SGD(p, 1.0, momentum=0.5, rate_in_velocity=rate_in_velocity)
        p.grad = np.ones(1)
        optimizer.step()
        optimizer.learning_rate = 0.0
        p.grad = np.ones(1)
        optimizer.step()
        moved.append(p.value.item())
    assert moved == [-1.5, -1.0]


# Groups and sources


def test_groups_have_their_own_settings() -> None:
    slow, fast = parameters((3,), (3,))
    before = values([slow, fast])
    optimizer = optim.SGD([{"params": slow, "learning_rate": 0.0}, {"params": [fast]}], learning_rate=1.0)
    train(optimizer, [slow, fast], 1)
    assert_same([slow], before[:1])
    assert (fast.value != before[1]).all()
    optimizer.groups[1]["learning_rate"] = 0.0
    kept = values([fast])
    train(optimizer, [slow, fast], 1)
    assert_same([fast], kept)
    optimizer.learning_rate = 0.25
    assert [group["learning_rate"] for group in optimizer.groups] == [0.25, 0.25]
    optimizer.add_group(parameters((2,)), momentum=0.5)
    assert optimizer.groups[2]["momentum"] == 0.5
    assert repr(optimizer.groups[2]).startswith("Group(1 sources, learning_rate=1.0, momentum=0.5")


def test_a_model_is_asked_for_its_parameters_at_each_step() -> None:
    model = nn.Linear(2, 2, dtype=np.float64)
    optimizer = optim.SGD(model, 1.0)
    model.bias = nn.Param(np.zeros(2))
    model.bias.grad = np.ones(2)
    optimizer.step()
    assert model.bias.value.tolist() == [-1.0, -1.0]


class Rows:
    """What the rows of a store look like to an optimizer."""

    name = "rows"
    requires_grad = True

    def __init__(self) -> None:
        self.stored = np.arange(12.0).reshape(4, 3)
        self.states: dict[str, Array] = {}
        self.touched: list[int] = []
        self.commits = 0

    def touch(self, *rows: int) -> None:
        self.touched = list(rows)
        self._grad = np.ones((len(rows), 3))
        self.value = self.stored[self.touched]
        arrays = {name: array[self.touched] for name, array in self.states.items()}
        self.payload = nn.Payload("Adam", arrays) if arrays else None

    @property
    def grad(self) -> Any:
        return self._grad if self.touched else None

    @grad.setter
    def grad(self, grad: Array | None) -> None:
        assert grad is not None
        self._grad[...] = grad

    def commit(self) -> None:
        self.commits += 1
        self.stored[self.touched] = self.value
        assert self.payload is not None
        for name, array in self.payload.arrays.items():
            self.states.setdefault(name, np.zeros((4, 3)))[self.touched] = array

    def zero_grad(self) -> None:
        self.touched = []

    def parameters(self) -> Iterator[Rows]:
        yield self


def test_rows_of_a_store_take_part_with_state_of_their_own() -> None:
    rows, beside = Rows(), nn.Param(np.zeros(2))
    optimizer = optim.Adam([rows, beside], 0.5, clip_norm=100.0)
    for touched in ((0, 2), (2,), ()):
        rows.touch(*touched)
        beside.grad = np.ones(2)
        optimizer.step()
    assert rows.commits == 2
    np.testing.assert_array_equal(rows.stored[[1, 3]], [[3.0, 4.0, 5.0], [9.0, 10.0, 11.0]])
    np.testing.assert_allclose(rows.stored[0], [-0.5, 0.5, 1.5])
    np.testing.assert_allclose(rows.stored[2], [5.0, 6.0, 7.0])
    np.testing.assert_allclose(rows.states["m"][[0, 2], 0], [0.1, 0.19])
    assert "arrays" in optimizer.state_dict()
    assert set(optimizer.state_dict()["arrays"]) == {"0.m", "0.v"}


# What is refused


@every_method
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_in_a_gradient_names_the_parameter_and_changes_nothing(make: Make, bad: float) -> None:
    params = parameters((3,), (2, 2), (5000,))
    optimizer = make(params, clip_norm=1.0)
    train(optimizer, params, 2)
    before = values(params), copy.deepcopy([p.payload for p in params]), optimizer.steps
    give_gradients(params)
    params[1].grad[0, 1] = bad
    gradient = params[0].grad.copy()
    with pytest.raises(
        FloatingPointError,
        match=r"expected finite gradients, got NaN or infinity in 1 of 4 elements for p1; ag\.detect_anomaly\(\) finds",
    ):
        optimizer.step()
    assert_same(params, before[0])
    np.testing.assert_array_equal(params[0].grad, gradient)
    assert optimizer.steps == before[2]
    for p, payload in zip(params, before[1], strict=True):
        assert (p.payload is None) == (payload is None)
        for name, array in (payload.arrays if payload else {}).items():
            assert p.payload is not None
            np.testing.assert_array_equal(p.payload.arrays[name], array)


def test_a_step_with_nan_may_be_skipped_or_made() -> None:
    (p,) = parameters((3,))
    before = values([p])
    p.grad = np.array([1.0, np.nan, 0.0])
    optimizer = optim.Adam(p, on_nan="skip")
    assert not optimizer.step()
    assert (optimizer.steps, optimizer.skipped) == (0, 1)
    assert not p.has_grad
    assert p.payload is None
    assert_same([p], before)
    p.grad = np.array([1.0, np.nan, 0.0])
    assert optim.SGD(p, on_nan="ignore").step()
    assert np.isnan(p.value[1])


def test_gradients_whose_squares_overflow_are_finite() -> None:
    p = nn.Param(np.zeros(3, np.float32))
    p.grad = np.full(3, 1e30, np.float32)
    optimizer = optim.SGD(p, 1.0, clip_norm=1.0)
    optimizer.step()
    assert optimizer.norm == pytest.approx(math.sqrt(3) * 1e30, rel=1e-6)
    np.testing.assert_allclose(p.value, -1 / math.sqrt(3), rtol=1e-6)


@every_method_with_state
def test_the_state_of_another_method_is_refused_with_advice(make: Make) -> None:
    first, p = parameters((2,), (3,))
    p.payload = nn.Payload("Lion", {"m": np.zeros(3)})
    before = values([first, p])
    give_gradients([first, p])
    optimizer = make([first, p])
    with pytest.raises(
        ValueError,
        match=r"expected for p1 the state of \w+, float64 of shape \(3,\), got that of Lion; to start anew, set",
    ):
        optimizer.step()
    assert_same([first, p], before)
    assert first.payload is None
    assert optimizer.steps == 0
    p.payload = None
    assert optimizer.step()


def test_state_of_another_shape_or_dtype_is_refused() -> None:
    for array, got in (
        (np.zeros(4), r"float64 of shape \(4,\)"),
        (np.zeros(3, np.float32), r"float32 of shape \(3,\)"),
    ):
        (p,) = parameters((3,))
        p.payload = nn.Payload("Adam", {"m": array, "v": np.zeros(3)})
        give_gradients([p])
        with pytest.raises(
            ValueError, match=rf"Adam: expected for p0 the state of Adam, float64 of shape \(3,\), got {got}"
        ):
            optim.Adam(p).step()


def test_momentum_may_be_switched_on_later() -> None:
    (p,) = parameters((3,))
    optimizer = optim.SGD(p, 0.1)
    train(optimizer, [p], 1)
    optimizer.groups[0]["momentum"] = 0.9
    train(optimizer, [p], 2)
    assert p.payload is not None
    assert p.payload.arrays.keys() == {"v"}


BAD_SETTINGS: list[tuple[Make, dict[str, Any], str]] = [
    (optim.SGD, {"learning_rate": -0.1}, r"SGD: expected a learning rate ≥ 0, got -0\.1"),
    (optim.SGD, {"learning_rate": math.nan}, r"SGD: expected a learning rate ≥ 0, got nan"),
    (optim.SGD, {"momentum": 1.0}, r"SGD: expected momentum from 0 to below 1, got 1\.0"),
    (optim.SGD, {"nesterov": True}, r"SGD: expected momentum above 0 with nesterov=True, got 0"),
    (optim.Adam, {"betas": (0.9, 1.0)}, r"Adam: expected two betas from 0 to below 1, got \(0\.9, 1\.0\)"),
    (optim.AdamW, {"betas": (-0.1, 0.9)}, r"AdamW: expected two betas from 0 to below 1"),
    (optim.LAMB, {"betas": (0.9,)}, r"LAMB: expected two betas from 0 to below 1, got \(0\.9,\)"),
    (optim.RAdam, {"eps": -1e-8}, r"RAdam: expected eps ≥ 0, got -1e-08"),
    (optim.LAMB, {"weight_decay": -1}, r"LAMB: expected weight_decay ≥ 0, got -1"),
    (optim.RMSProp, {"decay": 1.5}, r"RMSProp: expected decay from 0 to below 1, got 1\.5"),
    (optim.AdaGrad, {"clip_norm": -1.0}, r"AdaGrad: expected clip_norm ≥ 0, got -1\.0"),
    (optim.Adam, {"clip_norm": 1.0, "clip_value": 1.0}, r"Adam: expected clip_norm or clip_value, got both"),
    (optim.Adam, {"on_nan": "stop"}, r'Adam: expected on_nan="raise", "skip" or "ignore", got \'stop\''),
]


@pytest.mark.parametrize(("make", "settings", "message"), BAD_SETTINGS)
def test_settings_out_of_range_are_refused(make: Make, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(parameters((3,)), **settings)


def test_settings_that_go_bad_later_are_refused_before_the_step() -> None:
    params = parameters((3,))
    optimizer = optim.Adam(params)
    before = values(params)
    give_gradients(params)
    optimizer.groups[0]["betas"] = (0.9, 2.0)
    with pytest.raises(ValueError, match="Adam: expected two betas"):
        optimizer.step()
    assert_same(params, before)
    with pytest.raises(
        KeyError, match="expected one of learning_rate, betas, eps, weight_decay, as_reference, got 'lr'"
    ):
        optimizer.groups[0]["lr"] = 0.1
    with pytest.raises(ValueError, match="Adam: expected settings among learning_rate, .*, got momentum"):
        optimizer.add_group(parameters((1,)), momentum=0.9)


def test_what_is_no_parameter_is_refused() -> None:
    with pytest.raises(
        ValueError, match="SGD: expected at least one parameter, got none; is it an iterator that was used"
    ):
        optim.SGD([])
    wrong: Any = [ag.var(1.0)]
    with pytest.raises(
        TypeError, match=r"SGD: expected parameters, or modules that have some, got Variable; pass a model"
    ):
        optim.SGD(wrong)


# State


@every_method
def test_training_that_goes_on_from_a_state_is_the_same(make: Make) -> None:
    whole, first, second = (parameters((3,), (2, 3), (4,)) for _ in range(3))
    train(make(whole, learning_rate=0.05), whole, 6)
    optimizer = make(first, learning_rate=0.05)
    train(optimizer, first, 3)
    state = optimizer.state_dict()
    for p, q in zip(first, second, strict=True):
        q.value[...] = p.value
    resumed = make(second, learning_rate=0.7)
    arrays = state.pop("arrays")  # type: ignore[misc]
    state = json.loads(json.dumps(state)) | {"arrays": arrays}
    resumed.load_state_dict(state)
    assert (resumed.steps, resumed.learning_rate) == (3, 0.05)
    train(resumed, second, 3, start=3)
    assert_same(second, values(whole))
    # What was saved is a copy: going on did not change it.
    for array in arrays.values():
        assert all(array is not mine for p in second if p.payload for mine in p.payload.arrays.values())


def through_pickle(x: Any) -> Any:
    return pickle.loads(pickle.dumps(x))


def assert_equal_states(one: optim.OptimizerState, other: optim.OptimizerState) -> None:
    ours, theirs = dict(one), dict(other)
    arrays, their_arrays = one["arrays"], other["arrays"]
    assert ours | {"arrays": None} == theirs | {"arrays": None}
    assert {name: array.tobytes() for name, array in arrays.items()} == {
        name: array.tobytes() for name, array in their_arrays.items()
    }


@every_method
@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
def test_copies_and_pickles_are_equal_and_go_on_bit_by_bit_the_same(make: Make, copied: Callable[[Any], Any]) -> None:
    params = parameters((3,), (2, 3), dtype=np.float32)
    params.append(nn.SparseParam(np.ones((5, 2), np.float32)))
    groups: Any = [{"params": params[:2], "learning_rate": optim.WarmUp(5, 0.1)}, {"params": params[2]}]
    optimizer = make(groups, clip_norm=1.5, on_nan="skip")
    params[0].grad = np.full(3, np.nan)
    optimizer.step()
    train(optimizer, params, 2)
    other = copied(optimizer)
    theirs: list[Any] = [p for group in other.groups for p in group.sources]
    assert type(other) is type(optimizer)
    assert [type(p) for p in theirs] == [type(p) for p in params]
    assert all(p is not q and p.value is not q.value for p, q in zip(params, theirs, strict=True))
    assert repr(other) == repr(optimizer)
    assert (other.clip_norm, other.on_nan, other.skipped, other.norm) == (1.5, "skip", 1, optimizer.norm)
    assert_equal_states(other.state_dict(), optimizer.state_dict())
    train(optimizer, params, 3, start=2)
    train(other, theirs, 3, start=2)
    assert_same(theirs, values(params))
    assert_equal_states(other.state_dict(), optimizer.state_dict())


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
def test_a_copy_of_a_model_with_its_optimizer_is_trained_by_it(copied: Callable[[Any], Any]) -> None:
    model = nn.Linear(2, 2)
    optimizer = optim.Adam(model)
    other, its_optimizer = copied((model, optimizer))
    assert its_optimizer.groups[0].sources[0] is other
    before = other.weight.value.copy()
    other([1.0, 2.0]).backward([1.0, 1.0])
    its_optimizer.step()
    assert (other.weight.value != before).all()


def test_every_method_has_a_row() -> None:
    methods = {name for name in optim.__all__ if isinstance(getattr(optim, name), type)}
    methods = {name for name in methods if issubclass(getattr(optim, name), optim.Optimizer)} - {"Optimizer"}
    assert {type(make(parameters((1,)))).__name__ for make in METHODS.values()} == methods


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    params = parameters((3,), (2, 3))
    optimizer = optim.Adam(params)
    train(optimizer, params, 2)
    good = optimizer.state_dict()
    bad: list[tuple[dict[str, Any], str]] = [
        ({"method": "SGD"}, "Adam: expected state of Adam, got that of SGD"),
        (
            {"shapes": [[3], [3, 2]]},
            r"parameters of shapes \[\[3\], \[2, 3\]\], got 1 with \[\[3\], \[3, 2\]\]; is it the same",
        ),
        ({"groups": []}, "Adam: expected state of 1 groups"),
        ({"groups": [{"learning_rate": 0.1}]}, "Adam: expected settings learning_rate, betas"),
        ({"groups": [good["groups"][0] | {"betas": [2, 3]}]}, "Adam: expected two betas from 0 to below 1"),
        ({"groups": [good["groups"][0] | {"learning_rate": -0.1}]}, "Adam: expected a learning rate ≥ 0, got -0.1"),
        (
            {"groups": [good["groups"][0] | {"learning_rate": optim.StepDecay(0.1, 2).state_dict()}]},
            "Adam: expected state with a number as the learning rate, got .*StepDecay.*; make the optimizer with",
        ),
        ({"arrays": good["arrays"] | {"1.m": np.zeros(3)}}, r"Adam: expected 1\.m of shape \(2, 3\), got \(3,\)"),
        ({"arrays": good["arrays"] | {"7.m": np.zeros(3)}}, r"Adam: expected .*, got 7\.m"),
    ]
    before = values(params), optimizer.state_dict()
    for change, message in bad:
        with pytest.raises(ValueError, match=message):
            optimizer.load_state_dict({**good, **change})
        assert optimizer.state_dict()["groups"] == before[1]["groups"]
        assert optimizer.steps == 2
    train(optimizer, params, 1)


def test_reset_forgets_state_and_steps() -> None:
    params = parameters((3,))
    optimizer = optim.Adam(params)
    train(optimizer, params, 2)
    optimizer.reset()
    assert (optimizer.steps, params[0].payload) == (0, None)


def test_the_step_makes_no_array_as_large_as_the_parameters() -> None:
    import tracemalloc

    (p,) = parameters((1_000_000,), dtype=np.float32)
    optimizer = optim.Adam(p)
    give_gradients([p])
    optimizer.step(zero_grad=False)
    tracemalloc.start()
    optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_500_000  # however many threads; the parameter takes 4 MB
