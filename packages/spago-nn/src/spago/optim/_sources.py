"""What there is to train: parameters, and things that have parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias, cast

from spago.ag import RowGradient
from spago.mat import Array
from spago.nn import Param, ParameterSource, SparseParam, Trainable

Source: TypeAlias = Trainable | ParameterSource
"""A parameter, or a model or store that is asked for its parameters again at each step."""

Gradient: TypeAlias = Array | RowGradient
"""What a parameter has: an array of its shape, or some rows of one."""


def sources_of(params: Source | Iterable[Source], name: str) -> list[Source]:
    """Return one source, or several, as a list.

    Args:
        params: One source or several.
        name: Who asks, for messages.

    Raises:
        ValueError: When there is none: most often an iterator that was used up before.
        TypeError: When one is neither a parameter nor has parameters.
    """
    if is_source(params):
        return [cast("Source", params)]
    sources = list(cast("Iterable[Source]", params))
    for source in sources:
        if not is_source(source):
            raise TypeError(
                f"{name}: expected parameters, or modules that have some, got {type(source).__name__}; "
                "pass a model, or model.parameters()"
            )
    if not sources:
        raise ValueError(f"{name}: expected at least one parameter, got none; is it an iterator that was used up?")
    return sources


def trainables_of(sources: Iterable[Source]) -> Iterator[Trainable]:
    """The parameters of sources, as they are now; a shared one may come up more than once."""
    for source in sources:
        parameters = None if isinstance(source, Param) else getattr(source, "parameters", None)
        if parameters is None:
            yield cast("Trainable", source)
        else:
            yield from parameters()


def gradient_of(parameter: Trainable) -> Gradient | None:
    """The gradient of a parameter that is to be trained, if it has one."""
    if not parameter.requires_grad:
        return None
    if isinstance(parameter, SparseParam) and (rows := parameter.row_grad) is not None:
        return rows
    return cast("Array | None", parameter.grad)


def with_gradient(sources: Iterable[Source]) -> tuple[list[Trainable], list[Array]]:
    """The parameters of sources that have a gradient, each once, and these; of one by rows, that of the rows."""
    found = {id(p): (p, gradient) for p in trainables_of(sources) if (gradient := gradient_of(p)) is not None}
    gradients = [gradient for _, gradient in found.values()]
    return [p for p, _ in found.values()], [g.values if isinstance(g, RowGradient) else g for g in gradients]


def label_of(parameter: Trainable) -> str:
    """What to call a parameter in a message."""
    return parameter.name or f"a parameter of shape {parameter.value.shape}"


def is_source(x: Any) -> bool:
    """True for a parameter, and for what has parameters."""
    # A Param would also do as an iterable, of its rows.
    return hasattr(x, "parameters") or (hasattr(x, "payload") and hasattr(x, "commit"))
