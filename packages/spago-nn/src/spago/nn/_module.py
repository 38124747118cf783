"""Module: what all models and layers are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.mat import Array
from spago.mat.addons import mimebundle
from spago.nn._param import Buffer, Param, Trainable


class LoadResult(NamedTuple):
    """How the names of a state and those of a model differ.

    Attributes:
        missing: Names of the model that the state has not.
        unexpected: Names of the state that the model has not.
    """

    missing: list[str]
    unexpected: list[str]


class Module:
    """A model or a part of one: an ordinary class with parameters among its attributes.

    Parameters, buffers, sub-modules, and lists, tuples and dicts of them are found by looking through the attributes in
    the order in which they were set; None is passed over. Their names are the path to them, such as
    `encoder.layers.0.weight`. What is found twice counts once, under its first name. An object that has `parameters()`
    and `zero_grad()` without being a module, such as embeddings on disk, takes part in these two and keeps its state
    itself.

    A subclass sets its attributes in `__init__` and computes in `forward`; calling the module calls `forward`.

    Attributes:
        training: True until `eval()` is called; layers such as `Dropout` look at it.

    Examples:
        >>> from spago import ag, nn
        >>> class Scale(nn.Module):
        ...     def __init__(self) -> None:
        ...         self.factor = nn.Param(3.0)
        ...
        ...     def forward(self, x: ag.Node) -> ag.Node:
        ...         return x * self.factor
        >>> scale = Scale()
        >>> scale(ag.var(2.0)).item()
        6.0
        >>> [name for name, _ in scale.named_parameters()]
        ['factor']
    """

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the result; each subclass says of what."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method forward, which computes the result")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return `forward` of the same arguments."""
        return self.forward(*args, **kwargs)

    # What a module consists of

    def named_attributes(self) -> Iterable[tuple[str, Any]]:
        """The named things among which parameters are looked for; `Sequential` gives its modules by number."""
        return vars(self).items()

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module under the name prefix, then all below it, parents first, each once."""
        for name, member in _walk(self, prefix):
            if isinstance(member, Module):
                yield name, member

    def modules(self) -> Iterator[Module]:
        """This module and all below it, parents first, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Trainable]]:
        """All parameters with their names, each once.

        Those of an object that is no module follow its name, under their own name or their number.
        """
        for name, member in _walk(self, prefix):
            if isinstance(member, Param):
                yield name, member
            elif not isinstance(member, Module | Buffer):
                for i, parameter in enumerate(member.parameters()):
                    yield _joined(name, parameter.name or str(i)), parameter

    def parameters(self) -> Iterator[Trainable]:
        """All parameters, each once, in the order of their names' first appearance."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Buffer]]:
        """All buffers with their names, each once."""
        for name, member in _walk(self, prefix):
            if isinstance(member, Buffer):
                yield name, member

    def buffers(self) -> Iterator[Buffer]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers())

    def num_parameters(self) -> int:
        """The number of elements of all parameters in memory, frozen ones included."""
        return sum(member.size for _, member in _walk(self) if isinstance(member, Param))

    # What is done to all of it

    def apply(self, function: Callable[[Module], object]) -> Self:
        """Call function with each module, parts before the whole, and return this module.

        Examples:
            >>> from spago import nn
            >>> model = nn.Linear(2, 3)
            >>> _ = model.apply(lambda module: module.bias.value.fill(1) if isinstance(module, nn.Linear) else None)
            >>> model.bias.value
            array([1., 1., 1.], dtype=float32)
        """
        for module in _parts_first(self, set()):
            function(module)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and in all modules below, and return this module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Leave training mode here and in all modules below, and return this module."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for _, member in _walk(self):
            if not isinstance(member, Module):
                member.zero_grad()

    def to(self, dtype: npt.DTypeLike) -> Self:
        """Convert all parameters, with their gradients and payloads, and buffers, and return this module."""
        if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise TypeError(f"{type(self).__name__}.to: expected dtype float32 or float64, got {np.dtype(dtype)}")
        for _, member in self._state():
            member.to(dtype)
        return self

    # State

    def _state(self) -> Iterator[tuple[str, Param | Buffer]]:
        """The parameters and buffers that are saved, each once."""
        for name, member in _walk(self):
            if isinstance(member, Param | Buffer):
                yield name, member

    def state_dict(self, *, copy: bool = True) -> dict[str, Array]:
        """The values of all parameters and buffers by name; a shared one under its first name.

        Args:
            copy: False gives the values themselves, which further training changes.

        Raises:
            ValueError: When two of them have the same name, as `{"a.b": p, "a": {"b": q}}` makes them.
        """
        state: dict[str, Array] = {}
        for name, member in self._state():
            if name in state:
                raise ValueError(
                    f"{type(self).__name__}: expected each name once, got {name!r} twice; rename a dict key"
                )
            state[name] = member.value.copy() if copy else member.value
        return state

    def load_state_dict(self, state: Mapping[str, npt.ArrayLike], strict: bool = True) -> LoadResult:
        """Copy values into parameters and buffers of the same names; dtypes stay those of the model.

        A shared parameter is accepted under any of its names. Gradients and optimizer state stay.

        Args:
            state: Arrays by name, as from `state_dict`.
            strict: Whether missing and unexpected names are errors. Shapes always are.

        Returns:
            The names that were missing and unexpected.

        Raises:
            ValueError: Lists all missing and unexpected names and wrong shapes; nothing has been changed.
        """
        matches, result = self.match_state({name: np.shape(array) for name, array in state.items()}, strict)
        arrays = [(member, np.asarray(state[name], dtype=member.dtype)) for name, member in matches]
        ag.synchronize()  # what other threads still compute may read the values that change now
        for member, array in arrays:
            _assign(member, array)
        return result

    def match_state(
        self, shapes: Mapping[str, tuple[int, ...]], strict: bool = True, about: str = ""
    ) -> tuple[list[tuple[str, Param | Buffer]], LoadResult]:
        """Find the parameter or buffer for each name of a state, and check that it fits; nothing is changed.

        Args:
            shapes: The names and shapes of the state.
            strict: Whether missing and unexpected names are errors. Shapes always are.
            about: What the message begins with, such as the name of a file; by default the class of the module.

        Returns:
            Names of the state with what they belong to; and the names that were missing and unexpected.

        Raises:
            ValueError: Lists all missing and unexpected names and wrong shapes.
        """
        by_name = {n: m for n, m in _walk(self, every_path=True) if isinstance(m, Param | Buffer)}
        found: dict[int, str] = {}
        wrong: list[str] = []
        for name in by_name.keys() & shapes.keys():
            found.setdefault(id(by_name[name]), name)
        matches: list[tuple[str, Param | Buffer]] = []
        missing: list[str] = []
        for name, member in self._state():
            if id(member) not in found:
                missing.append(name)
                continue
            name = name if name in shapes else found[id(member)]
            matches.append((name, member))
            if shapes[name] != member.shape:
                wrong.append(f"{name} {member.shape}, got {shapes[name]}")
        unexpected = [name for name in shapes if name not in by_name]
        faults = [f"expected {fault}" for fault in wrong]
        if strict and missing:
            faults.insert(0, f"missing {', '.join(missing)}")
        if strict and unexpected:
            faults.insert(0, f"unexpected {', '.join(unexpected)}")
        if faults:
            hint = "" if wrong else "; strict=False ignores names that have no counterpart"
            raise ValueError(f"{about or type(self).__name__}: the state does not fit: {'; '.join(faults)}{hint}")
        return matches, LoadResult(missing, unexpected)

    # Looks

    def extra_repr(self) -> str:
        """What `repr` shows in the parentheses after the class: settings that the shapes do not tell."""
        return ""

    def __repr__(self) -> str:
        return "\n".join(_tree(self, "", set()))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return mimebundle(self)


def _walk(root: Module, prefix: str = "", *, every_path: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield root and all that it consists of, depth first, with names.

    These are modules, parameters, buffers, and other sources of parameters: each once, or with every_path once a name,
    save that a module within itself is passed over.
    """
    return _visit(prefix, root, set(), every_path)


def _visit(name: str, member: Any, seen: set[int], every_path: bool) -> Iterator[tuple[str, Any]]:
    if id(member) in seen:
        return
    seen.add(id(member))
    yield name, member
    if isinstance(member, Module):
        for path, part in _direct_parts(member):
            part_name = f"{name}.{path}" if name else path
            if isinstance(part, Module):
                yield from _visit(part_name, part, seen, every_path)
            elif id(part) not in seen:
                if not every_path:
                    seen.add(id(part))
                yield part_name, part
    if every_path:
        seen.discard(id(member))


_PARTS = (Param, Buffer, Module)

# What no parameter can be inside of: the types that most attributes and most elements of long lists have.
_PLAIN = frozenset((str, int, float, bool, bytes, type(None), np.ndarray))


def _members(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield value if it is part of a module's state, else those of its elements that are, with names."""
    kind: type[Any] = value.__class__
    if issubclass(kind, _PARTS) or _is_source(kind):
        yield name, value
    elif issubclass(kind, list | tuple):
        for i, element in enumerate(value):
            if type(element) not in _PLAIN:
                yield from _members(f"{name}.{i}", element)
    elif issubclass(kind, dict):
        for key, element in value.items():
            if type(element) not in _PLAIN:
                yield from _members(f"{name}.{key}", element)


def _is_source(kind: type[Any]) -> bool:
    """Whether objects of a class are a `ParameterSource`; checking by the protocol would take 20 times as long."""
    return callable(getattr(kind, "parameters", None)) and callable(getattr(kind, "zero_grad", None))


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _direct_parts(module: Module) -> Iterator[tuple[str, Any]]:
    for name, value in module.named_attributes():
        if type(value) not in _PLAIN:
            yield from _members(name, value)


def _parts_first(module: Module, seen: set[int]) -> Iterator[Module]:
    if id(module) in seen:
        return
    seen.add(id(module))
    for _, part in _direct_parts(module):
        if isinstance(part, Module):
            yield from _parts_first(part, seen)
    yield module


def _tree(module: Module, name: str, shown: set[int]) -> Iterator[str]:
    """The lines of a module's picture: class, settings, own shapes and number of parameters, then its parts."""
    settings = module.extra_repr()
    head = f"{name}: " if name else ""
    head += type(module).__name__ + (f"({settings})" if settings else "")
    if id(module) in shown:
        yield f"{head}: see above"
        return
    shown.add(id(module))
    parts = list(_direct_parts(module))
    own = [f"{n} {p.shape}" for n, p in parts if isinstance(p, Param | Buffer)]
    count = module.num_parameters()
    noun = "parameter" if count == 1 else "parameters"
    yield f"{head}: {count:,} {noun}" + (f": {', '.join(own)}" if own else "")
    for part_name, part in parts:
        if isinstance(part, Module):
            yield from (f"  {line}" for line in _tree(part, part_name, shown))
        elif not isinstance(part, Param | Buffer):
            yield f"  {part_name}: {' '.join(repr(part).split())}"


def _assign(member: Param | Buffer, array: Array) -> None:
    """Give a parameter or buffer new values, in place where that can be."""
    if member.value.flags.writeable:
        member.value[...] = array
    else:
        member.value = array.copy()
