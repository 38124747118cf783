"""Arrays of one number."""

from spago.initializers._fill import Target, array_of


def constant(target: Target, value: float) -> Target:
    """Fill with value, and return target."""
    array_of(target).fill(value)
    return target


def ones(target: Target) -> Target:
    """Fill with 1, and return target."""
    return constant(target, 1.0)


def zeros(target: Target) -> Target:
    """Fill with 0, and return target."""
    return constant(target, 0.0)
