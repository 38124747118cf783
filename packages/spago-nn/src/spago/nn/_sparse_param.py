"""SparseParam: a parameter that is trained row by row."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from spago.ag import RowGradient
from spago.mat import Array
from spago.nn._param import Param


class SparseParam(Param):
    """A parameter whose gradient is kept by rows, and of which a step changes only the rows that have one.

    This is for large tables of which few rows are used at a time, as that of `nn.Embedding(..., sparse=True)`. Rows are
    looked up by indexing along the first axis: `nn.Embedding`, `ag.take`, `weight[rows]`. Several look-ups, in one
    graph or in several, add up by rows. Any other use, such as that of a table as the weights of the output too, makes
    the gradient an array of the whole table, and the step one of the whole table.

    A step does to the rows that have a gradient, and to their state, what it does to a whole parameter, as if the table
    had no others: norms are those of these rows, and weight decay is theirs alone. The other rows rest, and so does
    their state: averages of gradients do not fade and velocities do not move a row while it is not used. (With a
    gradient of 0 instead of none, momentum and Adam would move it.) Time is the number of steps of the optimizer, for
    all rows. So SGD without momentum and AdaGrad, without weight decay, give the same as for the whole table, and the
    same as PyTorch's with sparse gradients; Adam is "lazy Adam", with as_reference=True that of PyTorch's SparseAdam;
    with momentum, PyTorch's SGD moves every row that has ever been used.

    The arguments are those of `Param`.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> table = nn.SparseParam(np.zeros((1000, 2)))
        >>> table[[7, 3, 7]].backward()
        >>> table.row_grad.rows
        array([3, 7])
        >>> table.row_grad.values
        array([[1., 1.],
               [2., 2.]])
    """

    __slots__ = ()

    takes_rows = True

    @property
    def grad(self) -> Any:
        """The gradient as an array, or None. One that is kept by rows is copied into a read-only array at each call."""
        held = self._grad
        if not isinstance(held, RowGradient):
            return held
        dense = held.dense()
        dense.flags.writeable = False
        return dense

    @grad.setter
    def grad(self, grad: npt.ArrayLike | None) -> None:
        self._grad = None if grad is None else self._as_gradient(grad)

    @property
    def row_grad(self) -> RowGradient | None:
        """The gradient by rows; None where there is none, or where it is an array of the whole table."""
        return self._grad if isinstance(self._grad, RowGradient) else None

    @property
    def has_grad(self) -> bool:
        """Whether there is a gradient, by rows or as an array."""
        return self._grad is not None

    def to(self, dtype: npt.DTypeLike) -> None:
        """Convert value, gradient and payload to float32 or float64."""
        rows = self.row_grad
        if rows is not None:
            self._grad = None
        super().to(dtype)
        if rows is not None:
            self._grad = RowGradient(rows.rows, rows.values.astype(dtype, copy=False), rows.shape)

    def _receive(self, grad: Array, owned: bool) -> None:
        held = self._grad
        if isinstance(held, RowGradient):
            grad, owned = grad.copy(), True
            held.add_to(grad)
            self._grad = None
        super()._receive(grad, owned)

    def _receive_rows(self, grad: RowGradient) -> None:
        """Add a gradient that is zero but for some rows, while the lock of gradients is held."""
        held = self._grad
        if held is None or isinstance(held, RowGradient):
            self._grad = grad if held is None else held + grad
        else:
            # Not in place: whoever read `grad` before keeps what was read.
            total = held.copy()
            grad.add_to(total)
            self._grad = total
