"""Of what kind a value is, where the type checkers would else know no more than before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether value is a list."""
    return isinstance(value, list)


def is_dict(value: Any) -> TypeGuard[dict[Any, Any]]:
    """Whether value is a dict."""
    return isinstance(value, dict)


def is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    """Whether value is a mapping."""
    return isinstance(value, Mapping)


def is_array(value: Any) -> TypeGuard[npt.NDArray[Any]]:
    """Whether value is an array."""
    return isinstance(value, np.ndarray)


def is_tuple(value: Any) -> TypeGuard[tuple[Any, ...]]:
    """Whether value is a tuple."""
    return isinstance(value, tuple)


def are_sizes(value: Any) -> TypeGuard[tuple[int, ...] | list[int]]:
    """Whether value lists integers from 0 on that fit 62 bits."""
    return (is_tuple(value) or is_list(value)) and all(type(size) is int and 0 <= size < 1 << 62 for size in value)
