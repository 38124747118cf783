"""Linear-chain conditional random fields: sums, expectations and best paths over all sequences of labels.

A path y through T steps and K labels has the score

    s(y) = start[y_0] + Σ_t emissions[t, y_t] + Σ_t transitions[y_(t-1), y_t] + end[y_(T-1)]

and the probability exp(s(y)) / Z. All functions take a padded batch with the `Packing` of its lengths. What is padding
is not looked at. Scores may be -inf, which forbids a label or a transition.

Everything is computed in float64: sums over hundreds of steps lose nothing that float32 could show.

Source: J. Lafferty, A. McCallum, F. Pereira (2001), "Conditional Random Fields".
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from spago.mat._packing import Packing
from spago.mat._softmax import logsumexp, softmax
from spago.mat._types import Array

Ints: TypeAlias = npt.NDArray[np.int64]

_LOWEST = np.finfo(np.float64).min
# A sum of products, all of them in [0, 1], is exact to rounding if it is above this: what underflows is far below it.
_SAFE = 1e-280
_SAFE_RANGE = 600.0  # exp(-600) > _SAFE


class CRFScores(NamedTuple):
    """What the scores of paths are made of.

    Attributes:
        emissions: Shape (B, T, K).
        transitions: Shape (K, K) [from, to].
        start: Shape (K,).
        end: Shape (K,).
    """

    emissions: Array
    transitions: Array
    start: Array
    end: Array


class _Underflow(NamedTuple):
    """Sums of one step that are too small to be had as products, and were computed from logarithms instead."""

    rows: npt.NDArray[np.intp]
    labels: npt.NDArray[np.intp]
    shares: Array  # (M, K): what part of each sum comes from each previous label


class CRFLattice(NamedTuple):
    """What `crf_forward` leaves behind for `crf_expectations`, in packed rows.

    Attributes:
        log_partition: ln Z of each sequence, shape (B,).
    """

    log_partition: Array
    packing: Packing
    weights: Array  # (K, K): exp(transitions), each column scaled to a maximum of 1
    scaled: Array  # (N, K): exp of the scores before a step, scaled to a maximum of 1; 0 for first steps
    sums: Array  # (N, K): scaled · weights
    final: Array  # (B, K): the distribution of the last label
    underflows: dict[int, _Underflow]


@np.errstate(all="ignore")
def crf_forward(scores: CRFScores, packing: Packing) -> CRFLattice:
    """Sum over all paths: α_t[j] = emissions[t, j] + ln Σ_i exp(α_(t-1)[i] + transitions[i, j]).

    The sum is a matrix product of exponentials, each factor scaled to a maximum of 1. Where transitions differ so much
    that it could underflow, it is taken from the logarithms. The error of ln Z is at most (8 + T) eps of the largest
    |α|, with the eps of float64.
    """
    e = packing.pack(scores.emissions, packing.forward).astype(np.float64)
    transitions = scores.transitions.astype(np.float64)
    shift = np.maximum.reduce(transitions, axis=0, initial=_LOWEST)
    weights: Array = np.exp(transitions - shift)
    ranges = shift - np.minimum.reduce(transitions, axis=0)
    is_safe = bool((ranges < _SAFE_RANGE).all() and np.isfinite(e).all() and np.isfinite(scores.start).all())

    scaled, sums, alphas = np.zeros_like(e), np.zeros_like(e), np.empty_like(e)
    underflows: dict[int, _Underflow] = {}
    batch = packing.sizes[0]
    before = np.add(e[:batch], scores.start, out=alphas[:batch])
    e += shift
    for t, (first, n) in enumerate(zip(packing.offsets[1:], packing.sizes[1:], strict=True), 1):
        before = before[:n]
        rows = slice(first, first + n)
        top = np.maximum.reduce(before, axis=1, keepdims=True, initial=_LOWEST)
        a = np.exp(np.subtract(before, top, out=scaled[rows]), out=scaled[rows])
        total = np.matmul(a, weights, out=sums[rows])
        alpha = np.log(total, out=alphas[rows])
        alpha += top
        if not is_safe and total.min() < _SAFE:
            row, label = np.nonzero(total < _SAFE)
            terms = before[row] + transitions.T[label]
            alpha[row, label] = logsumexp(terms) - shift[label]
            underflows[t] = _Underflow(row, label, softmax(terms))
        alpha += e[rows]
        before = alpha

    final = alphas[packing.last] + scores.end
    return CRFLattice(logsumexp(final), packing, weights, scaled, sums, softmax(final), underflows)


@np.errstate(all="ignore")
def crf_expectations(lattice: CRFLattice, weight: Array) -> tuple[Array, Array, Array, Array]:
    """How often each score is expected to be used: the derivatives of Σ_b weight_b · ln Z_b.

    From the last step to the first, with p_t the distribution of the label at step t:
    p_(t-1)[i] = Σ_j p_t[j] · (the part of the sum for j at step t that comes from i).

    Args:
        lattice: From `crf_forward`.
        weight: Shape (B,); ones give the expectations of the batch.

    Returns:
        emissions: Packed, shape (N, K): weight times the marginal probabilities.
        transitions: Shape (K, K), summed over batch and time.
        start, end: Shape (K,), summed over the batch.
    """
    _, packing, weights, scaled, sums, final, underflows = lattice
    final = final * np.asarray(weight, np.float64)[:, None]
    p, ratios = np.zeros_like(sums), np.zeros_like(sums)
    p[packing.last] = final
    rare = np.zeros_like(weights)  # what underflowing sums contribute, [to, from]
    for t in range(len(packing.sizes) - 1, 0, -1):
        n, first, first_before = packing.sizes[t], packing.offsets[t], packing.offsets[t - 1]
        rows = slice(first, first + n)
        ratio = np.divide(p[rows], sums[rows], out=ratios[rows])
        if t in underflows:
            ratio[underflows[t].rows, underflows[t].labels] = 0
        before = np.matmul(ratio, weights.T, out=p[first_before : first_before + n])
        before *= scaled[rows]
        if t in underflows:
            row, label, shares = underflows[t]
            flow = shares * p[rows][row, label][:, None]
            np.add.at(before, row, flow)
            np.add.at(rare, label, flow)
    pairs: Array = scaled.T @ ratios
    pairs *= weights
    pairs += rare.T
    return p, pairs, p[: packing.sizes[0]].sum(axis=0), final.sum(axis=0)


def crf_score(scores: CRFScores, path: Ints, packing: Packing) -> Array:
    """The score of one path for each sequence.

    Args:
        path: Labels from 0 to K - 1, packed, shape (N,).

    Returns:
        Shape (B,), float64.
    """
    emissions, transitions, start, end = scores
    batch, steps = packing.shape
    terms = emissions.reshape(-1, emissions.shape[-1])[packing.forward, path].astype(np.float64)
    terms[:batch] += start[path[:batch]]
    terms[batch:] += transitions[path[packing.previous], path[batch:]]
    total = _sums(packing.forward // steps, terms, batch)
    total += end[path[packing.last]]
    return total


def crf_counts(path: Ints, weight: Array, labels: int, packing: Packing) -> tuple[Array, Array, Array]:
    """How often one path for each sequence uses transitions (K, K), start and end (K,).

    These are the derivatives of Σ_b weight_b · `crf_score`_b, summed over batch and time.
    """
    batch, steps = packing.shape
    weights = weight[packing.forward // steps]
    pairs = path[packing.previous] * labels + path[batch:]
    return (
        _sums(pairs, weights[batch:], labels * labels).reshape(labels, labels),
        _sums(path[:batch], weights[:batch], labels),
        _sums(path[packing.last], weight, labels),
    )


def _sums(places: Ints, values: Array, size: int) -> Array:
    """What falls on each place, summed."""
    total = np.zeros(size)
    np.add.at(total, places, values)
    return total


def crf_k_best(scores: CRFScores, packing: Packing, k: int = 1) -> tuple[Ints, Array]:
    """The k paths of highest score, best first; for k = 1 Viterbi's algorithm.

    Among equal scores the lowest last label comes first, and before each label the lowest previous one.

    Returns:
        paths: Shape (B, k, T); -1 where there is padding, and all over a path that does not exist or is forbidden.
        scores: Shape (B, k), float64; -inf for such a path.

    Source: A. Viterbi (1967), "Error Bounds for Convolutional Codes"; N. Seshadri, C.-E. Sundberg (1994), "List Viterbi
    Decoding Algorithms with Applications", for k > 1.
    """
    e = packing.pack(scores.emissions, packing.forward).astype(np.float64)
    transitions = scores.transitions.astype(np.float64)
    batch, labels = packing.sizes[0], e.shape[1]
    best = np.full((len(e), k, labels), -np.inf)  # scores of the k best paths that end in a label
    best[:batch, 0] = e[:batch] + scores.start
    before = best[:batch]
    for first, n in zip(packing.offsets[1:], packing.sizes[1:], strict=True):
        candidates = (before[:n, :, :, None] + transitions).reshape(n, k * labels, labels)
        before = best[first : first + n]
        np.add(_greatest(candidates, k), e[first : first + n, None], out=before)

    ends = (best[packing.last] + scores.end).swapaxes(1, 2).reshape(batch, 1, labels * k)
    places = _places(np.repeat(ends, k, axis=1), np.arange(k))
    tags, place = np.full((packing.shape[1], batch, k), -1, np.int64), places[packing.order]
    for t in range(len(packing.sizes) - 1, -1, -1):
        path = place[: packing.sizes[t]]
        label, rank = np.divmod(path, k)
        tags[t, : len(path)] = label
        if t:
            # Which label came before is found here, for the labels on the paths alone: K times less work than above.
            before = best[packing.offsets[t - 1] :][: len(path)].swapaxes(1, 2)
            candidates = before[:, None] + transitions.T[label][..., None]
            path[...] = _places(candidates.reshape(len(path), k, labels * k), rank)
    paths = tags[:, packing.place].transpose(1, 2, 0).copy()
    totals: Array = np.take_along_axis(ends[:, 0], places, axis=-1)
    paths[np.isneginf(totals)] = -1
    return paths, totals


def _greatest(scores: Array, k: int) -> Array:
    """The k greatest of (n, M, K) along the middle axis, greatest first."""
    if k == 1:
        greatest: Array = np.maximum.reduce(scores, axis=1, keepdims=True)
    else:
        greatest = np.sort(scores, axis=1)[:, : -k - 1 : -1]
    return greatest


def _places(scores: Array, ranks: Ints) -> Ints:
    """The places of the elements of given ranks in (n, k, M) along the last axis; the first of equals ranks first."""
    if scores.shape[1] == 1:
        places: Ints = np.argmax(scores, axis=-1)
        return places
    order = np.argsort(-scores, axis=-1, kind="stable")
    ranks = np.broadcast_to(ranks, scores.shape[:2])
    return np.take_along_axis(order, ranks[..., None], axis=-1)[..., 0]
