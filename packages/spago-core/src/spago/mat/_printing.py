"""Numbers and matrices as text, with the fewest digits that tell them from their neighbours."""

import re
from typing import Any

import numpy as np

from spago.mat._types import Array

_SPEC = re.compile(r"(?P<width>[1-9]\d{0,3})?(?:\.(?P<precision>\d{1,4}))?(?P<verb>[vgGeEfF]?)")


def format_number(x: float | np.floating[Any] | Array, spec: str = "") -> str:
    """Text of one number.

    Args:
        x: A float, or an array of one element. Its dtype decides how many digits it needs: 0.1 prints as 0.1 in
            float32, too.
        spec: A precision and a letter, as in ".3g", both optional. The letter: "e" scientific, "f" positional, "g"
            (or "v", or none) scientific where the exponent is below -4, or not below the precision. The precision:
            digits after the point, for "g" all digits; without it the fewest that give the number back (and "g" is
            scientific from exponent 6). "E" and "G" write a capital E.

    Raises:
        ValueError: The specification is another.

    Examples:
        >>> from spago import mat
        >>> mat.format_number(1234567.0), mat.format_number(0.5), mat.format_number(1234.5, ".3g")
        ('1.234567e+06', '0.5', '1.23e+03')
    """
    _, precision, verb = _parse(spec)
    return _number(np.asarray(x).reshape(1)[0], precision, verb)


def format(x: Array, spec: str = "") -> str:
    """Text of a matrix in brackets, its columns aligned at their decimal points.

    Args:
        x: Any shape. An array of one axis is written as a row; of more than two, as its matrices, in order, with an
            empty line between.
        spec: As in format_number, with a least width of columns before it, as in "8.3f". Columns without a finite
            number keep their own width.

    Returns:
        Lines without a line feed at the end; "[]" where there are no elements.

    Raises:
        ValueError: The specification is another.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> print(mat.format(np.array([[1.0, 10.25], [-200.5, 3.0]])))
        ⎡   1   10.25⎤
        ⎣-200.5  3   ⎦
    """
    width, precision, verb = _parse(spec)
    if not x.size:
        return "[]"
    matrices = np.atleast_2d(x).reshape(-1, *np.atleast_2d(x).shape[-2:])
    return "\n\n".join(_box(matrix, width, precision, verb) for matrix in matrices)


def to_string(x: Array) -> str:
    """Text of an array in one line: dtype, shape, elements in row-major order.

    Examples:
        >>> import numpy as np
        >>> from spago import mat
        >>> mat.to_string(np.array([[1.0, 2.5]]))
        'Matrix|Dense[float64](1×2)[1 2.5]'
    """
    shape = "×".join(map(str, x.shape))
    values = " ".join(_number(value, None, "g") for value in x.ravel())
    return f"Matrix|Dense[{x.dtype}]({shape})[{values}]"


def _parse(spec: str) -> tuple[int, int | None, str]:
    """Least width, precision and letter of a specification."""
    match = _SPEC.fullmatch(spec)
    if not match:
        raise ValueError(f'format: expected a specification such as "g", ".3e" or "8.3f", got {spec!r}')
    precision = None if match["precision"] is None else int(match["precision"])
    return int(match["width"] or 0), precision, match["verb"].replace("v", "") or "g"


def _number(x: np.floating[Any], precision: int | None, verb: str) -> str:
    if np.isnan(x):
        return "NaN"
    if np.isinf(x):
        return "+Inf" if x > 0 else "-Inf"
    if precision is not None:
        return f"{float(x):.{precision}{verb}}"
    scientific = np.format_float_scientific(x, unique=True, trim="-", exp_digits=2)
    exponent = int(scientific.partition("e")[2])
    if verb in "eE" or (verb in "gG" and not -4 <= exponent < 6):
        return scientific.upper() if verb.isupper() else scientific
    return np.format_float_positional(x, unique=True, trim="-")


def _box(matrix: Array, width: int, precision: int | None, verb: str) -> str:
    columns = [_aligned([_number(x, precision, verb) for x in column], width) for column in matrix.T]
    lines = [" ".join(row) for row in zip(*columns, strict=True)]
    if len(lines) == 1:
        return f"[{lines[0]}]"
    left = "⎡" + "⎢" * (len(lines) - 2) + "⎣"
    right = "⎤" + "⎥" * (len(lines) - 2) + "⎦"
    return "\n".join(a + line + b for a, line, b in zip(left, lines, right, strict=True))


def _aligned(texts: list[str], width: int) -> list[str]:
    """Texts of one column, padded so that their points are below each other."""
    parts = [text.partition(".") for text in texts]
    before = max(len(whole) for whole, _, _ in parts)
    after = max(len(point + fraction) for _, point, fraction in parts)
    if any(text[-1].isdigit() for text in texts):
        before = max(before, width - after)
    return [whole.rjust(before) + (point + fraction).ljust(after) for whole, point, fraction in parts]
