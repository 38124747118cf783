"""Of what kind a value is, where the type checkers would else know no more than before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether value is a list."""
    return isinstance(value, list)


def is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    """Whether value is a mapping."""
    return isinstance(value, Mapping)


def is_array(value: Any) -> TypeGuard[npt.NDArray[Any]]:
    """Whether value is an array."""
    return isinstance(value, np.ndarray)
