"""What a model consists of, as a table."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeGuard

from spago import ag
from spago.nn._module import Module
from spago.nn._param import Param


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One module of a model.

    Attributes:
        name: The path to it; empty for the model.
        layer: Its class and settings.
        inputs: The shapes of what it was first called with; empty if it was not called.
        outputs: The shapes of what came of it.
        calls: How often it was called.
        parameters: The number of elements of its own parameters, without those of modules below it, and without those
            that a module before it has too.
    """

    name: str
    layer: str
    inputs: str
    outputs: str
    calls: int
    parameters: int


@dataclass(frozen=True, slots=True)
class Summary:
    """All modules of a model; shown as a table.

    Attributes:
        layers: The modules, parents first.
        parameters: The number of elements of all parameters.
        trainable: Of those that are not frozen.
        nbytes: The bytes of all parameters and buffers.
    """

    layers: tuple[LayerSummary, ...]
    parameters: int
    trainable: int
    nbytes: int

    def __str__(self) -> str:
        header = ("module", "layer", "input", "output", "parameters")
        rows = [
            (
                "  " * _depth(row.name) + (row.name.rpartition(".")[2] or "model"),
                row.layer + (f" ×{row.calls}" if row.calls > 1 else ""),
                row.inputs,
                row.outputs,
                f"{row.parameters:,}" if row.parameters else "",
            )
            for row in self.layers
        ]
        widths = [max(len(row[i]) for row in (header, *rows)) for i in range(5)]
        rule = "─" * (sum(widths) + 8)
        lines = [_line(header, widths), rule, *(_line(row, widths) for row in rows), rule]
        frozen = f", {self.parameters - self.trainable:,} frozen" if self.trainable < self.parameters else ""
        return "\n".join([*lines, f"{self.parameters:,} parameters{frozen}, {self.nbytes / 1e6:,.1f} MB"])

    def __repr__(self) -> str:
        return str(self)


def summary(model: Module, *inputs: Any, **settings: Any) -> Summary:
    """Run a model once, and say what shapes went through its modules and how many parameters they have.

    It runs as after `eval()` and leaves no graph, no gradients and no changed statistics; then it is as it was. A
    module that its parent does not call, such as the layers inside a `BiRNN`, is shown without shapes.

    Args:
        model: What to run.
        inputs: What it is called with, such as arrays of zeros.
        settings: Keyword arguments of the call.

    Examples:
        >>> import numpy as np
        >>> from spago import ag, nn
        >>> nn.summary(nn.Sequential(nn.Linear(3, 8), ag.tanh, nn.Linear(8, 2)), np.zeros((5, 3), np.float32))
        module  layer         input   output  parameters
        ────────────────────────────────────────────────
        model   Sequential()  (5, 3)  (5, 2)
          0     Linear(3, 8)  (5, 3)  (5, 8)          32
          2     Linear(8, 2)  (5, 8)  (5, 2)          18
        ────────────────────────────────────────────────
        50 parameters, 0.0 MB
    """
    calls: dict[int, list[tuple[str, str]]] = {id(module): [] for module in model.modules()}
    with _watched(model, calls), ag.no_grad():
        model(*inputs, **settings)
    seen: set[int] = set()
    layers: list[LayerSummary] = []
    for name, module in model.named_modules():
        shapes = calls[id(module)]
        own = {id(p): p.size for p in _own_parameters(module) if id(p) not in seen}
        seen |= own.keys()
        first = shapes[0] if shapes else ("", "")
        label = f"{type(module).__name__}({module.extra_repr()})"
        layers.append(LayerSummary(name, label, *first, len(shapes), sum(own.values())))
    parameters = [p for p in model.parameters() if isinstance(p, Param)]
    return Summary(
        tuple(layers),
        sum(p.size for p in parameters),
        sum(p.size for p in parameters if p.requires_grad),
        sum(node.value.nbytes for node in (*parameters, *model.buffers())),
    )


def _own_parameters(module: Module) -> Iterator[Param]:
    """The parameters of a module, without those of modules below it."""
    below = {id(p) for part in module.modules() if part is not module for p in part.parameters()}
    return (p for p in module.parameters() if isinstance(p, Param) and id(p) not in below)


@contextmanager
def _watched(model: Module, calls: dict[int, list[tuple[str, str]]]) -> Generator[None]:
    """Have all modules note the shapes of each call, in evaluation mode."""
    modules = list(model.modules())
    before = [dict(vars(module)) for module in modules]
    try:
        for module in modules:
            module.training = False
            vars(module)["forward"] = _noting(module.forward, calls[id(module)])
        yield
    finally:
        for module, attributes in zip(modules, before, strict=True):
            for name in ("training", "forward"):
                if name in attributes:
                    vars(module)[name] = attributes[name]
                else:
                    vars(module).pop(name, None)


def _noting(forward: Callable[..., Any], shapes: list[tuple[str, str]]) -> Callable[..., Any]:
    def noting(*args: Any, **kwargs: Any) -> Any:
        result = forward(*args, **kwargs)
        shapes.append((", ".join(filter(None, map(_shapes, args))), _shapes(result)))
        return result

    return noting


def _shapes(value: Any) -> str:
    """The shapes of what a module takes or returns, of any nesting; empty for what has none."""
    shape: Any = getattr(value, "shape", None)
    if shape is not None:
        return str(shape)
    if _is_sequence(value):
        shown = [text for part in value if (text := _shapes(part))]
        more = len(shown) > 4
        return f"[{', '.join([*shown[:3], '…'] if more else shown)}]" if shown else ""
    return ""


def _is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, tuple | list)


def _depth(name: str) -> int:
    return name.count(".") + 1 if name else 0


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    *texts, number = cells
    left = "  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=False))
    return f"{left}  {number.rjust(widths[-1])}".rstrip()
