"""Parameters of Go Spago in ours: gates stacked and split, the state of optimizers with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from spago import nn
from spago.mat import Array, FormatError
from spago.nn._blank import NoDraw
from spago.nn._guards import is_list, is_mapping
from spago.nn.gob._values import METHODS, Buffer, Param, Payload, Struct

# What the matrices of a payload are, by method and number; None for those that a method only computes in. The
# reference calls the first moment v and the second m in Adam and Lamb.
_STATES: dict[tuple[int, int], tuple[str | None, ...]] = {
    (1, 1): (None,),
    (1, 2): ("v", None),
    (1, 4): ("v", None, "v_previous", None),
    (2, 1): ("m",),
    (3, 5): ("m", "v", None, None, None),
    (4, 5): ("m", "v", None, None, None),
    (5, 1): ("v",),
    (6, 5): ("m", "v", None, None, None),
}
_LABELS = [name if name != "Lamb" else "LAMB" for name in METHODS]
# State that has the sign of the gradient.
_SIGNED = {"SGD": ("v", "v_previous"), "Adam": ("m",), "RAdam": ("m",), "LAMB": ("m",)}


class Fields:
    """A struct of a file on its way to a layer; paths such as `Query.W` and `WRec.0` lead into it."""

    def __init__(self, struct: Struct, place: str) -> None:
        self.struct = struct
        self.place = place

    def __getitem__(self, path: str) -> Any:
        value: Any = self.struct
        for name in path.split("."):
            if is_list(value) and name.isdecimal() and int(name) < len(value):
                value = value[int(name)]
            elif isinstance(value, Struct) and (name in value or name in value.type.by_name):
                value = value[name]
            elif value is not None:
                self.refuse(path, f"nothing called {name}")
        return value

    @property
    def rng(self) -> NoDraw:
        """What a layer of this struct draws its weights from: zeros, and no more than are about to be read.

        The sizes of one matrix would else decide about those of another, which the file need not have.
        """
        return NoDraw(2 * _count(self.struct) + 1000)

    def refuse(self, expected: str, got: str) -> NoReturn:
        """Raise the exception for what no layer can take."""
        raise FormatError(f"{self.place}: expected {expected}, got {got}"[:1000])

    def matrix(self, path: str) -> Array:
        """The value of a parameter or buffer, which must be there."""
        value = self[path]
        if not isinstance(value, Param | Buffer) or value.value is None:
            self.refuse(f"a value for {path}", "none")
        return value.value

    def rows(self, path: str) -> int:
        """The first size of a parameter."""
        return len(self.matrix(path))

    def columns(self, path: str) -> int:
        """The second size of a parameter."""
        size: int = self.matrix(path).shape[1]
        return size


def _count(value: Any) -> int:
    """How many numbers the parameters of a struct have."""
    if isinstance(value, Param | Buffer):
        return 0 if value.value is None else value.value.size
    if is_mapping(value):
        return sum(map(_count, value.values()))
    return sum(map(_count, value)) if is_list(value) else 0


def fill(target: nn.Param | nn.Buffer, fields: Fields, paths: Sequence[str]) -> None:
    """Give a parameter the values and the optimizer state of one or several of Go, one below the other.

    Args:
        target: Ours, of the right shape.
        fields: The struct that they are in.
        paths: Of theirs; with a minus sign where ours is the negative.

    Raises:
        FormatError: They do not fit.
    """
    names = [path.lstrip("-") for path in paths]
    signs = [-1.0 if path.startswith("-") else 1.0 for path in paths]
    values = [fields.matrix(name) for name in names]
    if len({value.dtype for value in values}) > 1:
        fields.refuse(f"one dtype for {', '.join(names)}", ", ".join(str(value.dtype) for value in values))
    width = target.shape[-1] if target.value.ndim > 1 else 1
    if any(value.shape[1] != width for value in values) or sum(map(np.size, values)) != target.size:
        shapes = ", ".join(str(value.shape) for value in values)
        fields.refuse(f"{', '.join(names)} that fill {target.shape}", f"shapes {shapes}")
    target.value = _stack(values, signs, target.shape)
    if not isinstance(target, nn.Param):
        return
    theirs: list[Param] = [fields[name] for name in names]
    if len({param.requires_grad for param in theirs}) > 1:
        fields.refuse(f"all of {', '.join(names)} to be trained, or none", "some")
    target.requires_grad = theirs[0].requires_grad
    target.payload = _state(target, theirs, signs, fields)


def _stack(values: Sequence[Array], signs: Sequence[float], shape: tuple[int, ...]) -> Array:
    if len(values) == 1 and signs[0] > 0:
        return values[0].reshape(shape)
    parts = [value if sign > 0 else -value for value, sign in zip(values, signs, strict=True)]
    stacked: Array = np.concatenate(parts).reshape(shape)
    return stacked


def _state(target: nn.Param, theirs: Sequence[Param], signs: Sequence[float], fields: Fields) -> nn.Payload | None:
    payloads = [param.payload for param in theirs]
    labels = {(p.label, len(p.data)) for p in payloads if p is not None and p.label}
    if not labels:
        return None
    names = _STATES.get(next(iter(labels)))
    if len(labels) > 1 or names is None:
        fields.refuse("the state of one optimizer that Go Spago has", f"methods and counts {sorted(labels)}")
    label = _LABELS[next(iter(labels))[0]]
    arrays: dict[str, Array] = {}
    for k, name in enumerate(names):
        if name is None:
            continue
        parts: list[Array] = []
        for param, payload in zip(theirs, payloads, strict=True):
            value = param.value
            assert value is not None
            x = payload.data[k] if payload is not None and payload.data else np.zeros_like(value)
            if x is None or x.shape != value.shape or x.dtype != value.dtype:
                fields.refuse(f"state of {label} of shape {value.shape} and {value.dtype}", f"another for {param.name}")
            parts.append(x)
        own = [sign if name in _SIGNED.get(label, ()) else 1.0 for sign in signs]
        arrays[name] = _stack(parts, own, target.shape)
    return nn.Payload(label, arrays)


def split(source: nn.Param | nn.Buffer, paths: Sequence[str], sizes: Sequence[int] | None = None) -> dict[str, Any]:
    """Return the parameters of Go, by path, that one of ours consists of.

    Args:
        source: Ours.
        paths: Of theirs, as for `fill`.
        sizes: Rows of each; the same for all by default.
    """
    rows = sizes or [source.value.reshape(-1, _width(source)).shape[0] // len(paths)] * len(paths)
    ends = np.cumsum(rows)
    result: dict[str, Any] = {}
    for path, start, end in zip(paths, ends - rows, ends, strict=True):
        name, sign = path.lstrip("-"), -1.0 if path.startswith("-") else 1.0
        value = _part(source.value, start, end, sign, _width(source))
        last = [part for part in name.split(".") if not part.isdecimal()][-1]
        if isinstance(source, nn.Buffer):
            result[name] = Buffer(value)
            continue
        kind = "biases" if "bias" in source.name else "weights"
        payload = _payload(source, start, end, sign)
        result[name] = Param(value, last, kind, source.requires_grad, payload)
    return result


def _width(source: nn.Param | nn.Buffer) -> int:
    return source.shape[-1] if source.value.ndim > 1 else 1


def _part(value: Array, start: int, end: int, sign: float, width: int) -> Array:
    part: Array = value.reshape(-1, width)[start:end] * np.asarray(sign, value.dtype)
    return part


def _payload(source: nn.Param, start: int, end: int, sign: float) -> Payload | None:
    payload = source.payload
    if payload is None:
        return None
    if payload.label not in _LABELS:
        raise ValueError(f"gob: expected state of an optimizer that Go Spago has, got that of {payload.label}")
    label = _LABELS.index(payload.label)
    present = set(payload.arrays)
    choices = [names for (number, _), names in _STATES.items() if number == label]
    names = next((names for names in choices if {n for n in names if n} == present), None)
    if names is None:
        raise ValueError(f"gob: expected state of {payload.label} that Go Spago has, got {', '.join(sorted(present))}")
    data: list[Array | None] = []
    for name in names:
        signed = sign if name in _SIGNED.get(payload.label, ()) else 1.0
        array = payload.arrays[name] if name else np.zeros_like(source.value)
        data.append(_part(array, start, end, signed, _width(source)))
    return Payload(label, data)


def place(target: dict[str, Any], parts: Mapping[str, Any]) -> None:
    """Put values into nested structs and lists of a struct that is being made."""
    for path, value in parts.items():
        *outer, last = path.split(".")
        inner: Any = target
        for name in outer:
            if is_list(inner):
                inner = inner[int(name)]
            else:
                inner = inner.setdefault(name, [] if last.isdecimal() and name == outer[-1] else {})
        if is_list(inner):
            inner.append(value)
        else:
            inner[last] = value
