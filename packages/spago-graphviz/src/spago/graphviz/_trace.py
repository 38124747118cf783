"""Running a model once to see which of its modules made which nodes of the graph."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from inspect import signature
from itertools import zip_longest
from typing import Any, Protocol, cast

import numpy as np

from spago.ag import Constant, Node, enable_grad, var


class Traceable(Protocol):
    """A model that knows its parts, as every `nn.Module` does."""

    def named_modules(self) -> Iterable[tuple[str, Any]]:
        """The model under the empty name, then all below it, parents first, each once."""
        ...

    def named_parameters(self) -> Iterable[tuple[str, Any]]:
        """The parameters with their dotted names."""
        ...

    def num_parameters(self) -> int:
        """The number of elements of all parameters."""
        ...


@dataclass(slots=True)
class Part:
    """A module of a model, and what it did in one run.

    Attributes:
        name: Its dotted name; empty for the model itself.
        kind: Its class.
        parameters: The number of elements of its parameters.
        shapes: Those of the parameters that are its own and not those of its parts, by name.
        calls: How often it was called.
        inputs: The shapes that its first call was given.
        outputs: The shapes that its first call has returned.
        arrays: Arrays that are no nodes, such as indices, that its calls were given first, with the arguments' names.
    """

    name: str
    kind: str
    parameters: int
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    calls: int = 0
    inputs: tuple[tuple[int, ...], ...] = ()
    outputs: tuple[tuple[int, ...], ...] = ()
    arrays: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])

    @property
    def looks(self) -> Hashable:
        """What it has in common with a module that is built alike."""
        return self.kind, self.parameters, self.shapes, self.calls, self.inputs, self.outputs


@dataclass(frozen=True, slots=True)
class Trace:
    """What one run of a model has shown.

    Attributes:
        parts: The modules by name, parents first.
        spans: For each call the numbers of the nodes that were created in it, from and to, with the module's name; a
            call comes after those that it has made.
        start: The number that the first node of the run can have.
        results: The nodes that the run has returned.
        method: Which method was run.
    """

    parts: dict[str, Part]
    spans: list[tuple[int, int, str]]
    start: int
    results: list[Node]
    method: str


def trace(model: Traceable, inputs: tuple[Any, ...], method: str) -> Trace:
    """Run a model as in evaluation, with the gradients that it would need, and leave it as it was.

    Raises:
        TypeError: When it has no modules to name.
    """
    if not callable(getattr(model, "named_modules", None)):
        raise TypeError(f"graphviz.model: expected a model with named_modules, got {type(model).__name__}")
    modules = list(model.named_modules())
    if not callable(getattr(model, method, None)):
        raise TypeError(f"graphviz.model: expected a method of {type(model).__name__}, got {method!r}")
    named = _as_nodes(getattr(model, "forward" if method == "__call__" else method), inputs)
    result = Trace({name: _part(name, module) for name, module in modules}, [], _now(), [], method)
    if not inputs:
        return result
    with ExitStack() as stack:
        stack.enter_context(enable_grad())
        stack.enter_context(_evaluating([module for _, module in modules]))
        active: list[str] = []
        for name, module in modules:
            stack.enter_context(_watched(module, name, result, active))
        returned = getattr(model, method)(*named)
    result.results.extend(dict.fromkeys(_nodes(returned)))
    return result


def _part(name: str, module: Any) -> Part:
    count: Any = getattr(module, "num_parameters", None)
    own: Iterable[tuple[str, Any]] = getattr(module, "named_parameters", tuple)()
    shapes = tuple((name, node.shape) for name, node in own if "." not in name)
    return Part(name, type(module).__name__, 0 if count is None else count(), shapes)


def _now() -> int:
    """Return a number between those of the nodes so far and those to come."""
    return Constant(0.0).number


def _as_nodes(method: Any, inputs: tuple[Any, ...]) -> list[Any]:
    """Return the inputs, arrays of floats among them as variables called like the arguments of the method."""
    parameters = signature(method).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_POSITIONAL]
    return [
        var(x, name=name) if _is_array(x, "f") else x
        for x, name in zip_longest(inputs, names[: len(inputs)], fillvalue="")
    ]


@contextmanager
def _evaluating(modules: list[Any]) -> Generator[None]:
    """Switch what modules do in training alone off, such as dropout and running statistics."""
    able = [module for module in modules if hasattr(module, "training")]
    before: list[tuple[Any, bool | None]] = [(module, _attributes(module).get("training")) for module in able]
    for module, _ in before:
        module.training = False
    try:
        yield
    finally:
        for module, training in before:
            if training is None:
                del module.training
            else:
                module.training = training


@contextmanager
def _watched(module: Any, name: str, result: Trace, active: list[str]) -> Generator[None]:
    """Note the calls of a module's own methods, such as `forward`, until the end of the block."""
    own = _attributes(module)
    methods = [method for method in _own_methods(module) if method not in own]
    for method in methods:
        own[method] = _noting(getattr(module, method), result, name, active)
    try:
        yield
    finally:
        for method in methods:
            own.pop(method, None)


def _is_array(x: Any, kinds: str) -> bool:
    kind: str = getattr(getattr(x, "dtype", None), "kind", "-")
    return type(x) is np.ndarray and kind in kinds


def _attributes(module: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", module.__dict__)


def _own_methods(module: Any) -> list[str]:
    """Return the public methods of a module's class, without those that it shares with all modules."""
    names: dict[str, None] = {}
    kind: type[Any] = module.__class__
    for parent in kind.__mro__:
        if "named_modules" in vars(parent):
            break
        names |= {n: None for n, value in vars(parent).items() if hasattr(value, "__code__") and n[0] != "_"}
    return list(names)


def _noting(method: Any, result: Trace, name: str, active: list[str]) -> Any:
    """Return a method that notes what it is given, what it returns, and which nodes are created meanwhile.

    A method that another one of the same module has called is part of that call.
    """

    def noting(*args: Any, **kwargs: Any) -> Any:
        if active and active[-1] == name:
            return method(*args, **kwargs)
        active.append(name)
        start = _now()
        try:
            returned = method(*args, **kwargs)
        finally:
            active.pop()
        created = list(_nodes(returned))
        if all(node.number < start for node in created):
            return returned  # a question, such as which parameters there are, that computes nothing
        result.spans.append((start, _now(), name))
        part = result.parts[name]
        if not part.calls:
            part.inputs = tuple(node.shape for node in _nodes([args, kwargs]))
            part.outputs = tuple(node.shape for node in created)
            names = signature(method).parameters
            given = [*zip(names, args, strict=False), *kwargs.items()]
            part.arrays = [(n, x) for n, x in given if _is_array(x, "iub")]
        part.calls += 1
        return returned

    return noting


def _nodes(value: Any) -> Generator[Node]:
    """Yield the nodes in a value made of tuples, lists, dicts and dataclasses."""
    if isinstance(value, Node):
        yield value
    elif issubclass(value.__class__, Mapping):
        for element in value.values():
            yield from _nodes(element)
    elif isinstance(value, list | tuple):
        for element in cast("list[Any]", value):
            yield from _nodes(element)
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from _nodes(getattr(value, each.name))
