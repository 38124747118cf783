"""Linear-chain conditional random field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.losses import Reduction
from spago.mat import (
    Array,
    CRFScores,
    Packing,
    check_lengths,
    crf_counts,
    crf_expectations,
    crf_forward,
    crf_k_best,
    crf_score,
)
from spago.nn._module import Module
from spago.nn._param import Param


class CRF(Module):
    """A linear-chain conditional random field: a distribution over whole sequences of tags.

        s(y) = start_transitions[y_0] + Σ_t x_t[y_t] + Σ_t transitions[y_(t-1), y_t] + end_transitions[y_(T-1)]
        p(y) = exp(s(y)) / Σ_z exp(s(z))

    The emissions x, scores of each tag at each step, come from the layers before. Calling the module gives the loss.
    Sums and expectations are taken in float64 whatever the dtype, and are right for scores of ±1e4 and more.

    Shapes:
        emissions: (B, T, K), a padded batch; or (T, K), one sequence; or a list of T nodes (K,)
        tags: (B, T) or (T,), integers from 0 to K - 1; anything where there is padding
        lengths: (B,), the number of real steps of each sequence; or a boolean mask (B, T), True for real steps
        transitions: (K, K) [from, to], 0 at first
        start_transitions, end_transitions: (K,), 0 at first

    Source:
        J. Lafferty, A. McCallum, F. Pereira (2001), "Conditional random fields: probabilistic models for segmenting and
        labeling sequence data".

    Args:
        num_tags: K.
        dtype: float32 or float64.

    Examples:
        >>> from spago import ag, nn
        >>> crf = nn.CRF(3)
        >>> emissions = ag.var([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]], requires_grad=True)
        >>> crf.decode(emissions)
        [[1, 0]]
        >>> loss = crf(emissions, [1, 0])
        >>> loss.backward()
    """

    def __init__(self, num_tags: int, *, dtype: npt.DTypeLike = np.float32) -> None:
        if num_tags < 1:
            raise ShapeError(f"CRF: expected at least 1 tag, got {num_tags}")
        self.num_tags = num_tags
        self.transitions = Param(np.zeros((num_tags, num_tags), dtype), name="transitions")
        self.start_transitions = Param(np.zeros(num_tags, dtype), name="start_transitions")
        self.end_transitions = Param(np.zeros(num_tags, dtype), name="end_transitions")

    def forward(
        self,
        emissions: Operand | Sequence[Operand],
        tags: npt.ArrayLike,
        lengths: npt.ArrayLike | None = None,
        *,
        reduction: Reduction = "mean",
    ) -> Node:
        """Return the negative log-likelihood of tags; see there."""
        return self.negative_log_likelihood(emissions, tags, lengths, reduction=reduction)

    def negative_log_likelihood(
        self,
        emissions: Operand | Sequence[Operand],
        tags: npt.ArrayLike,
        lengths: npt.ArrayLike | None = None,
        *,
        reduction: Reduction = "mean",
    ) -> Node:
        """Return -ln p(tags), as one node.

        Args:
            emissions: Scores of each tag at each step.
            tags: The right tags.
            lengths: The number of real steps of each sequence; all of them by default.
            reduction: Over the sequences: their "mean", their "sum", or "none".

        Returns:
            Shape (); or (B,) with reduction "none", for a batch. inf for tags that a score of -inf forbids.

        Raises:
            ShapeError: When sizes do not agree, or a length is below 1 or above T.
            ValueError: When a tag is below 0 or above K - 1.
        """
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f'CRF: expected reduction="mean", "sum" or "none", got {reduction!r}')
        node, packing = self._batch(emissions, lengths)
        loss: Node = _negative_log_likelihood(
            node,
            self.transitions,
            self.start_transitions,
            self.end_transitions,
            path=self._path(tags, node, packing),
            packing=packing,
            reduction=reduction,
        )
        return loss

    def decode(self, emissions: Operand | Sequence[Operand], lengths: npt.ArrayLike | None = None) -> list[list[int]]:
        """Return the most probable tags of each sequence, without padding; one sequence (T, K) is a batch of one.

        Among equally probable ones, the lowest last tag and then the lowest previous tags win. A sequence all of whose
        taggings are forbidden by scores of -inf gets the empty list.
        """
        return self.viterbi(emissions, lengths)[0]

    def viterbi(
        self, emissions: Operand | Sequence[Operand], lengths: npt.ArrayLike | None = None
    ) -> tuple[list[list[int]], Array]:
        """Return the most probable tags of each sequence as `decode` does, and their scores s(y), shape (B,)."""
        node, packing = self._batch(emissions, lengths)
        paths, scores = crf_k_best(self._scores(node), packing)
        return [path[: _real_steps(path)].tolist() for path in paths[:, 0]], scores[:, 0]

    def k_best(
        self, emissions: Operand | Sequence[Operand], k: int, lengths: npt.ArrayLike | None = None
    ) -> list[list[tuple[list[int], float]]]:
        """Return for each sequence its k most probable taggings, best first, each with its score s(y).

        There are fewer where fewer exist or are not forbidden by a score of -inf.
        """
        if k < 1:
            raise ValueError(f"CRF: expected k of at least 1, got {k}")
        node, packing = self._batch(emissions, lengths)
        paths, scores = crf_k_best(self._scores(node), packing, k)
        return [
            [
                (path[: _real_steps(path)].tolist(), score)
                for path, score in zip(paths_of_one, scores_of_one.tolist(), strict=True)
                if score > -np.inf
            ]
            for paths_of_one, scores_of_one in zip(paths, scores, strict=True)
        ]

    def marginals(self, emissions: Operand | Sequence[Operand], lengths: npt.ArrayLike | None = None) -> Array:
        """Return the probability of each tag at each step, of the shape of emissions; 0 where there is padding."""
        node, packing = self._batch(emissions, lengths)
        lattice = crf_forward(self._scores(node), packing)
        expected = crf_expectations(lattice, np.ones(packing.shape[0]))[0]
        return packing.unpack(expected.astype(node.dtype), packing.forward).reshape(node.shape)

    def _scores(self, emissions: Node) -> CRFScores:
        transitions, start, end = self.transitions, self.start_transitions, self.end_transitions
        return CRFScores(_batched(emissions.value), transitions.value, start.value, end.value)

    def _batch(self, emissions: Operand | Sequence[Operand], lengths: npt.ArrayLike | None) -> tuple[Node, Packing]:
        """Return emissions as a node of shape (T, K) or (B, T, K), and where its real steps are."""
        if isinstance(emissions, Sequence):
            node = ag.stack(emissions) if emissions else ag.Constant(np.zeros((0, self.num_tags), np.float32))
        else:
            node = emissions if isinstance(emissions, Node) else ag.Constant(emissions)
        K = self.num_tags
        if node.ndim not in (2, 3) or node.shape[-1] != K:
            raise ShapeError(
                f"CRF: expected emissions of shape (T, {K}) or (B, T, {K}), for num_tags = {K}, got {node.shape}"
            )
        if not node.size:
            raise ShapeError(f"CRF: expected at least one sequence and one step, got emissions of shape {node.shape}")
        batch, steps = (1, *node.shape)[-3:-1]
        if lengths is None:
            return node, Packing.of(np.full(batch, steps), steps)
        if node.ndim == 2:
            raise ShapeError(
                f"CRF: expected a padded batch (B, T, {K}) with lengths, got emissions of shape {node.shape}"
            )
        return node, Packing.of(check_lengths(lengths, steps, batch), steps)

    def _path(self, tags: npt.ArrayLike, emissions: Node, packing: Packing) -> npt.NDArray[np.int64]:
        """Return the tags of the real steps, packed.

        Raises:
            TypeError: When they are no integers.
            ShapeError: When they have not the shape of emissions.
            ValueError: When one is no tag.
        """
        given: npt.NDArray[Any] = np.asarray(tags)
        if given.dtype.kind not in "iu":
            raise TypeError(f"CRF: expected tags that are integers, got {given.dtype}")
        if given.shape != emissions.shape[:-1]:
            raise ShapeError(
                f"CRF: expected tags of shape {emissions.shape[:-1]}, one a step of emissions, got {given.shape}"
            )
        path = given.reshape(-1)[packing.forward].astype(np.int64)
        outside = np.flatnonzero((path < 0) | (path >= self.num_tags))
        if len(outside):
            sequence, step = divmod(int(packing.forward[outside[0]]), packing.shape[1])
            raise ValueError(
                f"CRF: expected tags from 0 to {self.num_tags - 1}, got {path[outside[0]]} "
                f"at step {step} of sequence {sequence}"
            )
        return path

    def extra_repr(self) -> str:
        """The number of tags."""
        return str(self.num_tags)


@ag.operator
def _negative_log_likelihood(
    emissions: Array,
    transitions: Array,
    start: Array,
    end: Array,
    *,
    path: npt.NDArray[np.int64],
    packing: Packing,
    reduction: Reduction,
) -> ag.Joint:
    scores = CRFScores(_batched(emissions), transitions, start, end)
    lattice = crf_forward(scores, packing)
    path_scores = crf_score(scores, path, packing)
    # The loss of a forbidden path is inf, also where there is no other path: -inf - -inf would be NaN.
    losses: Array = np.full_like(path_scores, np.inf)
    np.subtract(lattice.log_partition, path_scores, out=losses, where=~np.isneginf(path_scores))
    share = 1 / len(losses) if reduction == "mean" else 1
    y: Array = losses.reshape(emissions.shape[:-2]) if reduction == "none" else losses.sum() * share

    def pullback(g: Array, needs: tuple[bool, ...]) -> tuple[Array, ...]:
        weight = np.broadcast_to(np.asarray(g, np.float64) * share, losses.shape)
        expected, pairs, first, last = crf_expectations(lattice, weight)
        expected[np.arange(len(path)), path] -= weight[packing.forward // packing.shape[1]]
        used = crf_counts(path, weight, len(transitions), packing)
        return (
            packing.unpack(expected.astype(emissions.dtype), packing.forward).reshape(emissions.shape),
            pairs - used[0],
            first - used[1],
            last - used[2],
        )

    return y.astype(np.result_type(emissions, transitions)), pullback


def _batched(emissions: Array) -> Array:
    return emissions if emissions.ndim == 3 else emissions[None]


def _real_steps(path: npt.NDArray[np.int64]) -> int:
    """The length of a path that is followed by -1."""
    return int(np.count_nonzero(path >= 0))
