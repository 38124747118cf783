"""Models that are made from their files: their classes, and what `__init__` takes.

A file names a class; what it names is looked up here. Nothing is ever imported because a file says so.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, overload

import numpy as np

from spago import ag
from spago.mat import FormatError
from spago.nn._blank import NoDraw
from spago.nn._configurations import CONFIGURATIONS
from spago.nn._containers import ModuleList, Sequential
from spago.nn._guards import is_dict, is_list, is_tuple
from spago.nn._module import Module
from spago.nn._param import Buffer, Param

M = TypeVar("M", bound=type[Module])

_CLASSES: dict[str, type[Module]] = {}
_NAMES: dict[type[Module], str] = {}
_MAX_DEPTH = 50
_FUNCTIONS = ("spago.ag._activations", "spago.ag._elementary", "spago.ag._softmax")
_SPARE = 100_000


@overload
def register(cls: M, /) -> M: ...


@overload
def register(cls: str, /) -> Callable[[M], M]: ...


def register(cls: Any, /) -> Any:
    """Let `load_model` make objects of a class: a decorator, alone or with the name that files call the class.

    What `__init__` takes is written to the file. It is found in the attributes of the same names, or, where a class has
    a method `configuration`, is the dict that this returns: numbers, text, None, lists and dicts of these, modules, and
    functions of `spago.ag`. Where a generator `rng` or a `dtype` is taken, it is given when the model is made.

    Args:
        cls: The class, or its name in files, by default that of the module and of the class.

    Raises:
        ValueError: Another class has the name.

    Examples:
        >>> from spago import nn
        >>> @nn.register("docs.Scorer")
        ... class Scorer(nn.Module):
        ...     def __init__(self, size: int) -> None:
        ...         self.size = size
        ...         self.linear = nn.Linear(size, 1)
    """
    if isinstance(cls, str):
        name = cls

        def named(kind: M) -> M:
            _add(kind, name)
            return kind

        return named
    _add(cls, f"{cls.__module__}.{cls.__qualname__}")
    return cls


def _add(cls: type[Module], name: str) -> None:
    known = _CLASSES.get(name)
    # The same class may come again, when a notebook's cell is run twice.
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"register: expected a name that no other class has, got {name!r}, that of {known}")
    _CLASSES[name] = cls
    _NAMES[cls] = name


def name_of(module: Module) -> str:
    """What files call the class of a module."""
    cls = type(module)
    _own()
    return _NAMES.get(cls) or f"{cls.__module__}.{cls.__qualname__}"


def _own() -> None:
    """Add the classes of this package, which are all there only once it is imported."""
    if "spago.nn.Linear" in _CLASSES:
        return
    from spago import nn  # noqa: PLC0415 - it imports this file

    for name in nn.__all__:
        value: Any = getattr(nn, name)
        if inspect.isclass(value) and issubclass(value, Module) and value is not Module:
            _add(value, f"spago.nn.{name}")


# Describing


def describe(module: Module) -> str | None:
    """The configuration of a model as JSON; None when its class is not registered, or a setting is not plain."""
    _own()
    try:
        return json.dumps(_described(module), ensure_ascii=False, allow_nan=False)
    except (_NotPlainError, ValueError, RecursionError):
        return None


class _NotPlainError(Exception):
    """A setting cannot be written down."""


def _described(value: Any) -> Any:  # noqa: PLR0911 - a kind a line
    """A setting in JSON; what JSON has not is a dict with one key that begins with @."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return _described(value.item())
    if is_list(value):
        return [_described(element) for element in value]
    if is_tuple(value):
        return {"@tuple": [_described(element) for element in value]}
    if is_dict(value):
        if not all(isinstance(key, str) and not key.startswith("@") for key in value):
            raise _NotPlainError
        return {key: _described(element) for key, element in value.items()}
    if isinstance(value, Module) and type(value) in _NAMES:
        return {"@module": _NAMES[type(value)], **_configuration(value)}
    name = getattr(value, "__name__", "")
    if value is _function(name):
        return {"@function": name}
    raise _NotPlainError


def _function(name: Any) -> Any:
    """An activation of `spago.ag` by name; None where there is none."""
    function: Any = getattr(ag, name, None) if isinstance(name, str) and name in ag.__all__ else None
    return function if getattr(function, "__module__", "") in _FUNCTIONS else None


def _configuration(module: Module) -> dict[str, Any]:
    """What `__init__` of a module takes, by name; the dtype of its parameters, where it takes one."""
    if isinstance(module, Sequential | ModuleList):
        return {"@args": [_described(part) for part in module]}
    own: Any = getattr(module, "configuration", None)
    settings: Any = own() if callable(own) else _settings(module)
    described = {name: _described(value) for name, value in settings.items()}
    if "dtype" in inspect.signature(type(module)).parameters:
        described["dtype"] = _dtype(module)
    return described


def _settings(module: Module) -> dict[str, Any]:
    """The attributes that bear the names of what `__init__` takes."""
    special = CONFIGURATIONS.get(type(module).__name__) if type(module).__module__.startswith("spago.nn.") else None
    if special is not None:
        return special(module)
    settings: dict[str, Any] = {}
    for name, parameter in inspect.signature(type(module)).parameters.items():
        if name in ("rng", "dtype"):
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise _NotPlainError
        if hasattr(module, name):
            value = getattr(module, name)
        elif parameter.default is not parameter.empty:
            continue
        else:
            raise _NotPlainError
        # Such as bias=True, of which the parameter remains.
        settings[name] = True if isinstance(value, Param | Buffer) else value
        if value is None and isinstance(parameter.default, bool):
            settings[name] = False
    return settings


def _dtype(module: Module) -> str:
    values = [param.value for param in module.parameters()] + [buffer.value for buffer in module.buffers()]
    return str(values[0].dtype) if values else "float32"


# Making


def make(name: str, configuration: str, path: str, elements: int) -> Module:
    """Make a model, its weights yet to be read.

    Args:
        name: Of the class.
        configuration: As `describe` has it.
        path: For messages.
        elements: How many numbers the file has: sizes in no proportion to them are refused.

    Raises:
        FormatError: The class is not registered, or the configuration is not one of it.
    """
    _own()
    try:
        content = json.loads(configuration)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: expected a configuration in JSON, got {error}") from error
    result = _Maker(path, elements).made(content)
    if not isinstance(result, Module):
        raise FormatError(f"{path}: expected the configuration of {name}, got that of {type(result).__name__}")
    return result


class _Maker:
    """Makes modules of what a file says, checking each step."""

    def __init__(self, path: str, elements: int) -> None:
        self.path = path
        self.left = 4 * elements + _SPARE
        self.rng = NoDraw(4 * elements + _SPARE)

    def refuse(self, expected: str, got: str) -> NoReturn:
        raise FormatError(f"{self.path}: expected {expected}, got {got}"[:1000])

    def made(self, value: Any, depth: int = 0) -> Any:
        if depth > _MAX_DEPTH:
            self.refuse(f"settings at most {_MAX_DEPTH} deep inside one another", "deeper ones")
        if isinstance(value, int):
            self.left -= abs(value)
            if self.left < 0:
                self.refuse("sizes in proportion to the arrays of the file", f"{value}")
        if is_list(value):
            return [self.made(element, depth + 1) for element in value]
        if not is_dict(value):
            return value
        if "@tuple" in value:
            return tuple(self.made(value["@tuple"], depth + 1)) if is_list(value["@tuple"]) else ()
        if "@function" in value:
            function = _function(value["@function"])
            if function is None:
                self.refuse("an activation of spago.ag", f"{str(value['@function'])[:80]!r}")
            return function
        settings = {key: self.made(element, depth + 1) for key, element in value.items()}
        return self.module(settings) if "@module" in settings else settings

    def module(self, settings: dict[str, Any]) -> Module:
        name = settings.pop("@module")
        cls = _CLASSES.get(name) if isinstance(name, str) else None
        if cls is None:
            self.refuse(
                "a class of spago.nn or one that nn.register knows",
                f"{str(name)[:80]!r}; import the module that registers it, or make the model and use nn.load",
            )
        arguments: Any = settings.pop("@args", [])
        if settings.get("dtype", "float32") not in ("float32", "float64"):
            self.refuse("a dtype of float32 or float64", f"{settings['dtype']!r:.80}")
        if "rng" in inspect.signature(cls).parameters:
            settings["rng"] = self.rng
        try:
            module = cls(*([arguments] if cls is ModuleList else arguments), **settings)
        except Exception as error:
            # What a constructor makes of wrong settings is one thing or another.
            raise FormatError(f"{self.path}: expected settings of {name}, got {str(error)[:300]}") from error
        for attribute, value in list(vars(module).items()):
            if value is self.rng:
                setattr(module, attribute, None)  # a layer that goes on drawing does so from the common generator
        return module
