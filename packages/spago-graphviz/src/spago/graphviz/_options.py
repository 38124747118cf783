"""What a picture shows, and how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, TypeAlias, TypedDict

from spago.ag import Node, Profile, TimeStepHandler

Direction: TypeAlias = Literal["LR", "TB", "RL", "BT"]
ShapesOn: TypeAlias = Literal["nodes", "edges", "none"]
ColorBy: TypeAlias = Literal["role", "gradient", "time", "none"]


class HasNamedParameters(Protocol):
    """A model that knows the names of its parameters, as every `nn.Module` does."""

    def named_parameters(self) -> Iterable[tuple[str, Any]]:
        """The parameters with their dotted names."""
        ...


Names: TypeAlias = HasNamedParameters | Mapping[Node, str]
"""Where names come from: a model, or a mapping from nodes."""


class Options(TypedDict, total=False):
    """What all functions of this package take, by keyword.

    Attributes:
        names: A model, or a mapping from nodes to names. The parameters of a model are shown by their dotted names.
        time_steps: Frame the nodes of each time step.
        clusters: How deep to frame the modules that dotted names tell of; 0 for no frames, by default all of them. An
            operator belongs to the module whose parameters it uses, or that was at work when it was created.
        max_nodes: Draw of modules in a list that are built alike one, then modules as single nodes, then nodes that
            play the same part as one, until this many are left at most; at least 5. None for all. By default
            drawings have 100, those of `model` 40, and text has all.
        shapes: On the "nodes" (the default), on the "edges", or "none".
        dtypes: Whether dtypes stand beside the shapes.
        ids: Whether nodes show their number in the graph.
        values: Up to how many elements a value is shown; by default 1. What has NaN or Inf, in its value or
            its gradient, is red whatever its size.
        gradients: Whether nodes show the norm of the gradient that they hold.
        profile: Show the time that each node took, there and back, and the memory that it keeps, as `ag.profile` has
            measured them.
        color: By the "role" of nodes (the default), by the norm of the "gradient" they hold, by the "time" they took,
            or "none".
        align_leaves: Whether all leaves stand at one end; where no frames are drawn.
        direction: Where the results are: "LR" at the right (the default), "TB", "RL" or "BT".
    """

    names: Names | None
    time_steps: TimeStepHandler | None
    clusters: int | None
    max_nodes: int | None
    shapes: ShapesOn
    dtypes: bool
    ids: bool
    values: int
    gradients: bool
    profile: Profile | None
    color: ColorBy
    align_leaves: bool
    direction: Direction


@dataclass(frozen=True, slots=True)
class Look:
    """The options of one picture, checked; `Options` says what they mean."""

    names: Names | None = None
    time_steps: TimeStepHandler | None = None
    clusters: int | None = None
    max_nodes: int | None = None
    shapes: ShapesOn = "nodes"
    dtypes: bool = False
    ids: bool = False
    values: int = 1
    gradients: bool = False
    profile: Profile | None = None
    color: ColorBy = "role"
    align_leaves: bool = False
    direction: Direction = "LR"

    @classmethod
    def of(cls, options: Options) -> Look:
        """Return the look that options ask for.

        Raises:
            TypeError: For an option that does not exist, or is of another type.
            ValueError: For a value that an option does not have.
        """
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise TypeError(f"graphviz: expected one of the options {', '.join(known)}, got {name!r}")
        look = cls(**options)
        if not (look.names is None or isinstance(look.names, Mapping) or hasattr(look.names, "named_parameters")):
            raise TypeError(f"graphviz: expected names to be a model or a mapping, got {type(look.names).__name__}")
        _check_type("time_steps", look.time_steps, TimeStepHandler)
        _check_type("profile", look.profile, Profile)
        for name, least in (("max_nodes", 5), ("clusters", 0), ("values", 0)):
            number = getattr(look, name)
            _check_type(name, number, int)
            if number is not None and number < least:
                raise ValueError(f"graphviz: expected {name} of at least {least}, got {number}")
        _check("shapes", look.shapes, ("nodes", "edges", "none"))
        _check("color", look.color, ("role", "gradient", "time", "none"))
        _check("direction", look.direction, ("LR", "TB", "RL", "BT"))
        if look.color == "time" and look.profile is None:
            raise ValueError('graphviz: expected profile= for color="time", got none; measure with ag.profile()')
        return look


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"graphviz: expected {name} to be one of {', '.join(known)}, got {value!r}")


def _check_type(name: str, value: object, kind: type[object]) -> None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"graphviz: expected {name} to be of type {kind.__name__}, got {type(value).__name__}")
