"""Adapters of recurrent layers: sequences, single steps with all their gates, both directions, the sentence-state LSTM.

The reference has one matrix a gate; ours are stacked. A `Place` says where a parameter of the reference is in ours.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from golden import Case, Result, adapter
from spago import ag, nn
from spago.ag import Node
from spago.mat import Array


class Place(NamedTuple):
    """Where a parameter of the reference is: part of one of ours, or its negative."""

    name: str
    part: Any = ...
    sign: float = 1.0


Places = dict[str, Place]


class Kind(NamedTuple):
    """A layer of the reference.

    Attributes:
        make: Ours, for a case's settings.
        places: Where its parameters are, for the size H of its gates.
        step: All outputs of a single step, from the layer, its state before and x.
    """

    make: Callable[..., nn.Recurrent[Any]]
    places: Callable[[int], Places]
    step: Callable[[Any, Node, Sequence[Node]], Sequence[Node]] | None = None


def _gates(h: int, name: str, pattern: str, gates: Iterable[str]) -> Places:
    """The gates stacked in one parameter, in order."""
    return {pattern.format(gate): Place(name, slice(k * h, k * h + h)) for k, gate in enumerate(gates)}


def _plain(**names: str) -> Callable[[int], Places]:
    return lambda h: {theirs: Place(ours) for theirs, ours in names.items()}


def _lstm_places(h: int) -> Places:
    gates = ("in", "for", "cand", "out")
    patterns = {"weight_ih": "w_{}", "weight_hh": "w_{}_rec", "bias": "b_{}"}
    return {k: v for name, pattern in patterns.items() for k, v in _gates(h, name, pattern, gates).items()}


def _gru_places(h: int) -> Places:
    gates = ("res", "part", "cand")
    patterns = {"weight_ih": "w_{}", "weight_hh": "w_{}_rec", "bias": "b_{}"}
    places = {k: v for name, pattern in patterns.items() for k, v in _gates(h, name, pattern, gates).items()}
    # The partition gate is 1 - z, and 1 - σ(a) = σ(-a).
    return {k: place._replace(sign=-1.0) if "part" in k else place for k, place in places.items()}


def _cfn_places(h: int) -> Places:
    return {
        **_gates(h, "weight_ih", "w_{}", ("in", "for", "cand")),
        **_gates(h, "weight_hh", "w_{}_rec", ("in", "for")),
        **_gates(h, "bias", "b_{}", ("in", "for")),
    }


def _ran_places(h: int) -> Places:
    return {**_cfn_places(h), **_gates(h, "bias", "b_{}", ("in", "for", "cand"))}


def _horn_places(h: int) -> Places:
    recurrent = {f"w_rec.{k}": Place("weight_hh", k) for k in range(9)}
    return {"w": Place("weight_ih"), "b": Place("bias"), **recurrent}


def _mist_places(h: int) -> Places:
    gates = ("a", "r", "")
    return {
        **_gates(h, "weight_ih", "w{}x", gates),
        **_gates(h, "weight_hh", "w{}h", gates),
        **_gates(h, "bias", "b{}", gates),
    }


def _tpr_places(h: int) -> Places:
    s, r = slice(None, h), slice(h, None)
    return {
        "w_in_s": Place("weight_ih", s),
        "w_in_r": Place("weight_ih", r),
        "w_rec_s": Place("weight_hh", s),
        "w_rec_r": Place("weight_hh", r),
        "b_s": Place("bias", s),
        "b_r": Place("bias", r),
        "s": Place("symbol_vectors"),
        "r": Place("role_vectors"),
    }


# Single steps. What a state does not hold, such as its gates, is computed beside it.


def _lstm_next(layer: nn.LSTM, x: Node, before: Sequence[Node]) -> Sequence[Node]:
    state = nn.LSTMState(*before)
    i, f, g, o = layer.gates(layer.project(x), state)
    return *layer.next(x, state), i, o, f, g


def _gru_next(layer: nn.GRU, x: Node, before: Sequence[Node]) -> Sequence[Node]:
    state = nn.HiddenState(*before)
    r, z, n = layer.gates(layer.project(x), state)
    return layer.next(x, state).h, r, 1 - z, n


def _cfn_next(layer: nn.CFN, x: Node, before: Sequence[Node]) -> Sequence[Node]:
    state = nn.HiddenState(*before)
    i, f, c = layer.gates(layer.project(x), state)
    # The reference's candidate is what c is the tanh of.
    return layer.next(x, state).h, i, f, c


def _ran_next(layer: nn.RAN, x: Node, before: Sequence[Node]) -> Sequence[Node]:
    return *layer.next(x, nn.RANState(*before)), *layer.gates(layer.project(x), before[0])


def _delta_rnn_next(layer: nn.DeltaRNN, x: Node, before: Sequence[Node]) -> Sequence[Node]:
    state = nn.HiddenState(*before)
    return layer.next(x, state).h, *layer.gates(layer.project(x), state)


def _ltm_next(layer: nn.LTM, x: Node, before: Sequence[Node]) -> Sequence[Node]:
    state = nn.LTMState(*before)
    l_1, l_2, l_3 = layer.gates(x, state)
    return *layer.next(x, state), l_1, l_2, l_3, l_1 * l_2 + state.c


def _tpr_next(layer: nn.TPR, x: Node, before: Sequence[Node]) -> Sequence[Node]:
    state = nn.HiddenState(*before)
    a_s, a_r, s, r = layer.gates(layer.project(x), state)
    return layer.next(x, state).h, a_r, a_s, s, r


def _horn_next(layer: nn.HORN, x: Node, before: Sequence[Node]) -> Sequence[Node]:
    *earlier, last = before
    missing = ag.var(np.zeros((layer.order - 1 - len(earlier), layer.hidden_size), x.dtype))
    state = nn.HORNState(last, ag.append_rows(ag.stack(earlier[::-1]), *missing))
    return (layer.next(x, state).h,)


def _plain_next(layer: nn.Recurrent[Any], x: Node, before: Sequence[Node]) -> Sequence[Node]:
    return (layer.next(x, nn.HiddenState(*before)).h,)


def _rla_next(layer: nn.RLA, x: Node, before: Sequence[Node]) -> Sequence[Node]:
    return layer.next(x, nn.RLAState(ag.Constant(np.zeros_like(x.value)), *before))


def _tpr(n_symbols: int, d_symbols: int, n_roles: int, d_roles: int, dtype: Any, **sizes: int) -> nn.TPR:
    """Our TPR for the reference's settings."""
    return nn.TPR(sizes["in"], symbols=n_symbols, symbol_size=d_symbols, roles=n_roles, role_size=d_roles, dtype=dtype)


KINDS: dict[str, Kind] = {
    "srn": Kind(
        lambda dtype, **s: nn.SRN(s["in"], s["out"], dtype=dtype),
        _plain(w="weight_ih", w_rec="weight_hh", b="bias"),
        _plain_next,
    ),
    "lstm": Kind(
        lambda use_refined_gates=False, *, dtype, **s: nn.LSTM(
            s["in"], s["out"], refined_gates=use_refined_gates, dtype=dtype
        ),
        _lstm_places,
        _lstm_next,
    ),
    "gru": Kind(lambda dtype, **s: nn.GRU(s["in"], s["out"], dtype=dtype), _gru_places, _gru_next),
    "cfn": Kind(lambda dtype, **s: nn.CFN(s["in"], s["out"], dtype=dtype), _cfn_places, _cfn_next),
    "ran": Kind(lambda dtype, **s: nn.RAN(s["in"], s["out"], dtype=dtype), _ran_places, _ran_next),
    "delta_rnn": Kind(
        lambda dtype, **s: nn.DeltaRNN(s["in"], s["out"], dtype=dtype),
        _plain(
            w="weight_ih", w_rec="weight_hh", b="bias", b_part="bias_p", alpha="alpha", beta1="beta_1", beta2="beta_2"
        ),
        _delta_rnn_next,
    ),
    "ind_rnn": Kind(
        lambda activation, dtype, **s: nn.IndRNN(s["in"], s["out"], activation=getattr(ag, activation), dtype=dtype),
        _plain(w="weight_ih", w_rec="weight_hh", b="bias"),
        _plain_next,
    ),
    "horn": Kind(lambda order, dtype, **s: nn.HORN(s["in"], s["out"], order, dtype=dtype), _horn_places, _horn_next),
    "ltm": Kind(
        lambda dtype, **s: nn.LTM(s["in"], dtype=dtype),
        lambda h: {**_gates(h, "weight", "w{}", "123"), "w_cell": Place("weight_c")},
        _ltm_next,
    ),
    "mist": Kind(
        lambda num_of_delays, dtype, **s: nn.MIST(s["in"], s["out"], num_of_delays, dtype=dtype), _mist_places
    ),
    "rla": Kind(
        lambda input_size, dtype: nn.RLA(input_size, dtype=dtype),
        lambda h: {**_gates(h, "weight", "w{}", "kvq"), **_gates(h, "bias", "b{}", "kvq")},
        _rla_next,
    ),
    "tpr": Kind(_tpr, _tpr_places, _tpr_next),
}


def load(layer: nn.Module, params: Mapping[str, Array], places: Places) -> None:
    """Give a layer the reference's parameters."""
    ours = dict(layer.named_parameters())
    for name, array in params.items():
        place = places[name]
        value = ours[place.name].value
        value[place.part] = place.sign * array.reshape(value[place.part].shape)


def gradients(layer: nn.Module, params: Mapping[str, Array], places: Places) -> dict[str, Any]:
    """The gradients of the reference's parameters."""
    ours = dict(layer.named_parameters())
    result: dict[str, Any] = {}
    for name in params:
        place = places[name]
        gradient = ours[place.name].grad
        result[name] = None if gradient is None else place.sign * gradient[place.part]
    return result


def go_back(outputs: Sequence[Node], seeds: Sequence[Any]) -> None:
    """Put the given gradients on the outputs and go back from them."""
    given = [(y, g) for y, g in zip(outputs, seeds, strict=True) if g is not None]
    for y, g in given:
        y.acc_grad(np.reshape(g, y.shape))
    ag.backward_many([y for y, _ in given])


def run(case: Case, layer: nn.Module, places: Places, compute: Callable[..., Sequence[Node]]) -> Result:
    """Compute a case's outputs from its inputs as nodes, and all gradients."""
    load(layer, case.params, places)
    inputs = [ag.var(x, requires_grad=True) for x in case.inputs]
    outputs = compute(*inputs)
    assert case.output_grads is not None
    go_back(outputs, case.output_grads)
    return Result([y.value for y in outputs], [x.grad for x in inputs], gradients(layer, case.params, places))


def _gate_size(kind: str, config: Mapping[str, Any]) -> int:
    """The size of what is stacked."""
    if kind == "tpr":
        return int(config["n_symbols"])
    return int(config.get("out") or config.get("in") or config["input_size"])


@adapter("model", *KINDS)
def _sequence(case: Case) -> Result:
    kind = KINDS[case.name]
    layer = kind.make(**case.config, dtype=case.dtype)
    return run(case, layer, kind.places(_gate_size(case.name, case.config)), lambda xs: [layer(xs)[0]])


@adapter("model", *(f"{name}_next" for name, kind in KINDS.items() if kind.step))
def _step(case: Case) -> Result:
    name = case.name.removesuffix("_next")
    kind = KINDS[name]
    layer = kind.make(**case.config, dtype=case.dtype)
    step = kind.step
    assert step is not None
    places = kind.places(_gate_size(name, case.config))
    return run(case, layer, places, lambda x, *before: step(layer, x, before))


@adapter("model", "ran_importance")
def _importance(case: Case) -> Result:
    """The reference multiplies by one forget gate too many; its numbers are made from ours, which are also checked."""
    layer = nn.RAN(case.config["in"], case.config["out"], dtype=case.dtype or "float64")
    load(layer, case.params, _ran_places(layer.hidden_size))
    state, inputs, forgets = None, [], []
    for x in case.inputs[0]:
        before = layer.initial_state(dtype=x.dtype) if state is None else state
        i, f, _ = layer.gates(layer.project(ag.var(x)), before.h)
        inputs.append(i.value)
        forgets.append(f.value)
        state = layer.next(x, before)
    steps = len(inputs)
    right, theirs = np.zeros((2, steps, steps))
    for t in range(steps):
        for s in range(t + 1):
            share = inputs[s] * np.prod(forgets[s + 1 : t + 1], axis=0)
            right[t, s] = share.max()
            theirs[t, s] = (share * forgets[t]).max()
    np.testing.assert_allclose(layer.importance(case.inputs[0]), right, rtol=1e-12)
    return Result([theirs])


# Both directions


def _prefixed(places: Places, theirs: str, ours: str) -> Places:
    return {f"{theirs}{name}": place._replace(name=f"{ours}{place.name}") for name, place in places.items()}


def _directions(positive: str, negative: str, h: int) -> Places:
    return {
        **_prefixed(KINDS[positive].places(h), "positive.", "forward_layer."),
        **_prefixed(KINDS[negative].places(h), "negative.", "backward_layer."),
    }


BOTH: dict[str, tuple[Callable[..., Any], str]] = {
    "bi_lstm": (nn.BiLSTM, "lstm"),
    "bi_gru": (nn.BiGRU, "gru"),
    "bi_ran": (nn.BiRAN, "ran"),
    "bi_cfn": (nn.BiCFN, "cfn"),
    "bi_ltm": (nn.BiLTM, "ltm"),
}


@adapter("model", *BOTH)
def _both_directions(case: Case) -> Result:
    make, kind = BOTH[case.name]
    sizes = [case.config[name] for name in ("input", "hidden") if name in case.config]
    layer = make(*sizes, merge=case.config["merge"], dtype=case.dtype)
    return run(case, layer, _directions(kind, kind, sizes[-1]), lambda xs: [layer(xs)[0]])


@adapter("model", "birnn_srn", "birnn_mixed")
def _two_kinds(case: Case) -> Result:
    sizes = {"in": case.config["input"], "out": case.config["hidden"]}
    kinds = case.config["positive"], case.config["negative"]
    there, back = (KINDS[kind].make(**sizes, dtype=case.dtype) for kind in kinds)
    layer = nn.BiRNN(there, back, merge=case.config["merge"])
    return run(case, layer, _directions(*kinds, sizes["out"]), lambda xs: [layer(xs)[0]])


@adapter("model", "bi_bi_lstm")
def _two_layers(case: Case) -> Result:
    h = case.config["hidden"]
    layer = nn.BiBiLSTM(case.config["input"], h, merge=case.config["merge"], dtype=case.dtype or "float64")
    places = _directions("lstm", "lstm", h)
    stacked = {k: v for i in range(2) for k, v in _prefixed(places, f"layers.{i}.", f"layers.{i}.").items()}
    return run(case, layer, stacked, lambda xs: [layer(xs)[0]])


# The sentence-state LSTM


def _slstm_places(h: int) -> Places:
    gates = ("input_gate", "left_cell_gate", "right_cell_gate", "cell_gate", "sent_cell_gate", "output_gate")
    of_words = {"weight_context": "{}.w", "weight_input": "{}.u", "weight_sentence": "{}.v", "bias": "{}.b"}
    sentence_gates = [f"non_local_{gate}" for gate in ("sent_cell_gate", "input_gate", "sent_output_gate")]
    of_sentence = {
        "sentence_weight_sentence": "{}.w",
        "sentence_weight_words": "{}.u",
        "sentence_bias": "{}.b",
    }
    places = {"start_h": Place("start"), "end_h": Place("end"), "init_value": Place("initial")}
    for names, patterns in ((*gates, "input_activation"), of_words), (sentence_gates, of_sentence):
        for name, pattern in patterns.items():
            places |= _gates(h, name, pattern, names)
    return places


@adapter("model", "slstm")
def _sentence_state_lstm(case: Case) -> Result:
    """The reference multiplies by input_activation.u where v is meant; so both are u here, and get one gradient.

    Its other mistake, in the cell of the sentence, shows from the third update on, and no case has so many.
    """
    config = case.config
    assert config["steps"] <= 3
    layer = nn.SentenceStateLSTM(
        config["input_size"], config["output_size"], updates=config["steps"] - 1, dtype=case.dtype or "float64"
    )
    u, v = "input_activation.u", "input_activation.v"
    fields = {**case.fields, "params": {**case.fields["params"], v: case.fields["params"][u]}}
    result = run(
        Case(case.id, case.kind, case.name, case.dtype, fields),
        layer,
        _slstm_places(layer.hidden_size),
        lambda xs: [layer(xs)[0]],
    )
    assert result.param_grads is not None
    grads = dict(result.param_grads)
    return Result(result.outputs, result.input_grads, {**grads, u: grads[u] + grads[v]})


# Shuffling networks


def _srnn_places(config: Mapping[str, Any], norms: bool) -> Places:
    """The parts of f are numbered alike."""
    stride = 3 if norms else 2
    linear = {f"fc.{stride * k}.{p}": Place(f"transform.{stride * k}.{q}") for k in range(9) for p, q in WEIGHT_BIAS}
    norm = {f"fc.{3 * k + 1}.{p}": Place(f"transform.{3 * k + 1}.{q}") for k in range(9) for p, q in WEIGHT_BIAS}
    others = {"fc2": "gate", "fc3": "output", "layer_norm": "norm"}
    rest = {f"{theirs}.{p}": Place(f"{ours}.{q}") for theirs, ours in others.items() for p, q in WEIGHT_BIAS}
    return {**linear, **(norm if norms else {}), **rest}


WEIGHT_BIAS = (("w", "weight"), ("b", "bias"))


def _run_srnn(case: Case, make: Any, norms: bool, compute: Callable[..., Sequence[Node]]) -> Result:
    """The reference has the parameters of the gate also where there is none."""
    config = case.config
    layer = make(
        config["input_size"],
        config["hidden_size"],
        config["output_size"],
        hyper_size=config["hyper_size"],
        num_layers=config["num_layers"],
        multi_head=config["multi_head"],
        dtype=case.dtype,
    )
    unused = {} if config["multi_head"] else {name: None for name in case.params if name.startswith("fc2.")}
    params = {name: array for name, array in case.fields["params"].items() if name not in unused}
    used = Case(case.id, case.kind, case.name, case.dtype, {**case.fields, "params": params})
    result = run(used, layer, _srnn_places(config, norms), lambda *inputs: compute(layer, *inputs))
    return Result(result.outputs, result.input_grads, {**(result.param_grads or {}), **unused})


@adapter("model", "srnn")
def _srnn(case: Case) -> Result:
    return _run_srnn(case, nn.SRNN, True, lambda layer, xs: [layer(xs)[0]])


@adapter("model", "bisrnn")
def _bisrnn(case: Case) -> Result:
    return _run_srnn(case, nn.BiSRNN, False, lambda layer, xs: [layer(xs)[0]])


@adapter("model", "srnn_next")
def _srnn_next(case: Case) -> Result:
    def step(layer: nn.SRNN, h: Node, b: Node) -> Sequence[Node]:
        state = layer.step(b, nn.SRNNState(ag.var(np.zeros(layer.output_size)), h))
        return state.h, state.y

    return _run_srnn(case, nn.SRNN, True, step)
