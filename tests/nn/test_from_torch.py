"""PyTorch's parameters by PyTorch's names; tests/oracle has the same with PyTorch itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from spago import nn

D, H = 3, 2
State = dict[str, npt.NDArray[np.float64]]


def a_state(gates: int, *suffixes: str, size: int = D) -> State:
    rng = np.random.default_rng(1)
    state: State = {}
    for suffix in suffixes:
        state[f"weight_ih_{suffix}"] = rng.normal(size=(gates * H, size))
        state[f"weight_hh_{suffix}"] = rng.normal(size=(gates * H, H))
        state[f"bias_ih_{suffix}"] = rng.normal(size=gates * H)
        state[f"bias_hh_{suffix}"] = rng.normal(size=gates * H)
    return state


def test_two_biases_become_one() -> None:
    lstm, state = nn.LSTM(D, H, dtype=np.float64), a_state(4, "l0")
    assert nn.from_torch(lstm, state) == ([], [])
    np.testing.assert_array_equal(lstm.weight_ih.value, state["weight_ih_l0"])
    np.testing.assert_array_equal(lstm.weight_hh.value, state["weight_hh_l0"])
    np.testing.assert_array_equal(lstm.bias.value, state["bias_ih_l0"] + state["bias_hh_l0"])


def test_the_last_gate_of_a_gru_has_two() -> None:
    gru, state = nn.GRU(D, H, reset_after=True, dtype=np.float64), a_state(3, "l0")
    nn.from_torch(gru, state)
    both = state["bias_ih_l0"] + state["bias_hh_l0"]
    assert gru.bias_hn is not None
    np.testing.assert_array_equal(gru.bias.value, [*both[: 2 * H], *state["bias_ih_l0"][2 * H :]])
    np.testing.assert_array_equal(gru.bias_hn.value, state["bias_hh_l0"][2 * H :])


def test_directions_and_layers_find_theirs() -> None:
    stack = nn.BiBiLSTM(D, H, dtype=np.float64)
    state = {**a_state(4, "l0", "l0_reverse"), **a_state(4, "l1", "l1_reverse", size=2 * H)}
    nn.from_torch(stack, state)
    for k in range(2):
        for name, suffix in (("forward_layer", f"l{k}"), ("backward_layer", f"l{k}_reverse")):
            weight = stack.state_dict()[f"layers.{k}.{name}.weight_ih"]
            np.testing.assert_array_equal(weight, state[f"weight_ih_{suffix}"])


def test_what_is_named_alike_is_loaded_as_it_is() -> None:
    linear = nn.Linear(2, 1, dtype=np.float64)
    nn.from_torch(linear, {"weight": np.array([[1.0, 2.0]]), "bias": np.array([3.0])})
    np.testing.assert_array_equal(linear.weight.value, [[1, 2]])


def test_our_own_names_are_loaded_too() -> None:
    layer, other = nn.BiRAN(D, H), nn.BiRAN(D, H)
    nn.from_torch(other, layer.state_dict())
    np.testing.assert_array_equal(other.state_dict()["forward_layer.bias"], layer.state_dict()["forward_layer.bias"])


def test_what_does_not_fit_is_named_and_changes_nothing() -> None:
    lstm = nn.LSTM(D, H)
    before = lstm.state_dict()
    with pytest.raises(ValueError, match=r"missing weight_ih, weight_hh, bias"):
        nn.from_torch(lstm, a_state(4, "l1"))
    with pytest.raises(ValueError, match=r"unexpected weight_ih_l1, weight_hh_l1, bias_ih_l1, bias_hh_l1"):
        nn.from_torch(lstm, a_state(4, "l0", "l1"))
    with pytest.raises(ValueError, match=r"expected weight_ih \(8, 3\), got \(8, 4\)"):
        nn.from_torch(lstm, a_state(4, "l0", size=4))
    with pytest.raises(
        ValueError, match="from_torch: expected a GRU with reset_after=True, as PyTorch's, got one without"
    ):
        nn.from_torch(nn.GRU(D, H), a_state(3, "l0"))
    for name, array in lstm.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_other_names_may_be_left_out() -> None:
    result = nn.from_torch(nn.LSTM(D, H), a_state(4, "l0", "l1"), strict=False)
    assert result.unexpected == ["weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1"]
