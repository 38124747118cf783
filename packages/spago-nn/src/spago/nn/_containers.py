"""Containers of modules: plain lists and dicts do as well, but these name parameters as PyTorch does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from spago.nn._module import Module


class ModuleList(Module):
    """A list of modules as a module, whose parameters are named by number: `0.weight`.

    Args:
        modules: What it holds, in order.
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self._list: list[Any] = list(modules)

    def named_attributes(self) -> Iterable[tuple[str, Any]]:
        """The modules by number."""
        return ((str(i), module) for i, module in enumerate(self._list))

    def append(self, module: Module) -> Self:
        """Add a module at the end, and return this list."""
        self._list.append(module)
        return self

    def __getitem__(self, index: int) -> Any:
        return self._list[index]

    def __len__(self) -> int:
        return len(self._list)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._list)


class Sequential(Module):
    """Modules one after the other, each fed with the result of the one before.

        y = f_n(… f_2(f_1(x)))

    Parameters are named by number: `0.weight`. Plain functions from node to node take part.

    Args:
        functions: Modules and functions of one argument.

    Examples:
        >>> import numpy as np
        >>> from spago import ag, nn
        >>> model = nn.Sequential(nn.Linear(3, 8), ag.tanh, nn.Linear(8, 2))
        >>> model(np.zeros((5, 3), np.float32)).shape
        (5, 2)
        >>> [name for name, _ in model.named_parameters()]
        ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *functions: Callable[[Any], Any]) -> None:
        self._functions = list(functions)

    def named_attributes(self) -> Iterable[tuple[str, Any]]:
        """The modules by number."""
        return ((str(i), function) for i, function in enumerate(self._functions))

    def forward(self, x: Any) -> Any:
        """Return y for x; the equation is in the class."""
        for function in self._functions:
            x = function(x)
        return x

    def append(self, function: Callable[[Any], Any]) -> Self:
        """Add a module or function at the end, and return this module."""
        self._functions.append(function)
        return self

    def __getitem__(self, index: int) -> Callable[[Any], Any]:
        return self._functions[index]

    def __len__(self) -> int:
        return len(self._functions)

    def __iter__(self) -> Iterator[Callable[[Any], Any]]:
        return iter(self._functions)
