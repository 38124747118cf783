"""Embedding: a table of vectors in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, ShapeError
from spago.mat import Array
from spago.mat.rand import LockedRand, default_rng
from spago.nn._module import Module
from spago.nn._param import Param
from spago.nn._sparse_param import SparseParam


class Embedding(Module):
    """A table of vectors, one for each of a fixed number of symbols.

        y = weight[indices]

    Shapes:
        indices: any shape (...) of integers from 0 to num_embeddings - 1
        y: (..., embedding_dim)
        weight: (num_embeddings, embedding_dim), standard normal at first

    Args:
        num_embeddings: The number of symbols.
        embedding_dim: The size of a vector.
        padding_idx: A symbol that stands for padding: its vector starts at 0 and receives no gradient.
        sparse: Whether a step changes only the vectors that were used since the last one, with the optimizer's state of
            these: its time does not depend on the size of the table. The weight is then a `SparseParam`, which says
            how this differs from training the whole table.
        rng: Where the initial vectors are drawn from; by default the generator of `mat.rand`.
        dtype: float32 or float64.

    Examples:
        >>> from spago import nn
        >>> embedding = nn.Embedding(10, 3, padding_idx=0)
        >>> embedding([[1, 2, 0], [4, 0, 0]]).shape
        (2, 3, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        padding_idx: int | None = None,
        sparse: bool = False,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if num_embeddings < 1 or embedding_dim < 1:
            raise ShapeError(f"Embedding: expected sizes of at least 1, got {num_embeddings} and {embedding_dim}")
        if padding_idx is not None and not 0 <= padding_idx < num_embeddings:
            raise ValueError(f"Embedding: expected padding_idx from 0 to {num_embeddings - 1}, got {padding_idx}")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        weight = (rng or default_rng()).normal((num_embeddings, embedding_dim), dtype=dtype)
        if padding_idx is not None:
            weight[padding_idx] = 0
        self.sparse = sparse
        self.weight = (SparseParam if sparse else Param)(weight, name="weight")

    def forward(self, indices: npt.ArrayLike) -> Node:
        """Return the vectors of the symbols.

        Raises:
            TypeError: When indices are no integers.
            IndexError: When there is no such symbol.
        """
        rows: npt.NDArray[Any] = np.asarray(indices)
        if rows.dtype.kind not in "iu" and rows.size:
            raise TypeError(f"Embedding: expected indices that are integers, got {rows.dtype}")
        rows = rows.astype(np.intp, copy=False)
        if rows.size and (rows.min() < 0 or rows.max() >= self.num_embeddings):
            raise IndexError(
                f"Embedding: expected indices from 0 to {self.num_embeddings - 1}, num_embeddings - 1, "
                f"got {rows.min()} to {rows.max()}"
            )
        return _embedding(self.weight, rows, self.padding_idx)

    def extra_repr(self) -> str:
        """The sizes, the padding where there is one, and whether training is sparse."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}{', sparse=True' if self.sparse else ''}"


@ag.unary
def _embedding(weight: Array, indices: npt.NDArray[np.intp], padding_idx: int | None) -> ag.Unary:
    """The rows of a table; indices are known to fit."""

    def pullback(g: Array) -> ag.Scatter:
        total = ag.RowGradient.total([(indices.reshape(-1), g)], weight.shape)
        kept = total.rows != (-1 if padding_idx is None else padding_idx)
        return ag.Scatter(total.rows[kept], total.values[kept], repeats=False)

    return weight[indices], pullback
