"""A Tree-LSTM over random binary trees, node by node as the equations are written, and all nodes of a level at once.

    leaf    i, o, u = W·x + b                                   c = σ(i) ⊙ tanh(u)
    node    i, f, f', o, u = U·[h, h'] + d                      c = σ(i) ⊙ tanh(u) + σ(f) ⊙ c_left + σ(f') ⊙ c_right
    both    h = σ(o) ⊙ tanh(c)

Source: K. S. Tai, R. Socher, C. D. Manning (2015), arXiv:1503.00075, eq. 9 to 14 for two children, words at the leaves.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.compare.workload import Inputs, Results, Run, workload
from spago import ag, mat
from spago.mat import Array

Merges = list[tuple[int, int]]
"""The children of each inner node of a tree. Leaves come first, then the inner nodes, children before parents."""

CASES = [dict(trees=32, leaves=20, H=H) for H in (50, 150)]
SIZES = "{trees} trees of {leaves} leaves, D = H = {H}, forward and backward"


def random_merges(leaves: int, rng: np.random.Generator) -> Merges:
    """Return a random tree: neighbours are joined until one node is left."""
    merges, nodes = [], list(range(leaves))
    for parent in range(leaves, 2 * leaves - 1):
        i = int(rng.integers(len(nodes) - 1))
        merges.append((nodes[i], nodes[i + 1]))
        nodes[i : i + 2] = [parent]
    return merges


def inputs(trees: int, leaves: int, H: int) -> Inputs:
    """Return the words of each tree, its shape, the parameters, and the gradient that arrives at the roots."""
    rng = np.random.default_rng(1)
    words = rng.standard_normal((trees, leaves, H), np.float32)
    shapes = [random_merges(leaves, rng) for _ in range(trees)]
    parameters = [
        rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(H**0.5)
        for shape in ((3 * H, H), (3 * H,), (5 * H, 2 * H), (5 * H,))
    ]
    return words, shapes, parameters, rng.standard_normal((trees, H), np.float32)


def in_levels(shapes: list[Merges], leaves: int) -> tuple[list[tuple[list[int], list[int]]], list[int]]:
    """Return the left and the right children of all nodes of one level after the other, and the roots.

    The leaves of all trees are numbered first, tree by tree, then the nodes of each level.
    """
    number = {(tree, leaf): tree * leaves + leaf for tree in range(len(shapes)) for leaf in range(leaves)}
    waiting = {(tree, leaves + i): pair for tree, merges in enumerate(shapes) for i, pair in enumerate(merges)}
    levels = []
    while waiting:
        level = [node for node, pair in waiting.items() if all((node[0], child) in number for child in pair)]
        children = [[number[tree, child] for child in waiting.pop((tree, node))] for tree, node in level]
        levels.append(([a for a, _ in children], [b for _, b in children]))
        number.update({node: len(number) + i for i, node in enumerate(level)})
    return levels, [number[tree, 2 * leaves - 2] for tree in range(len(shapes))]


@workload(f"Tree-LSTM node by node, {SIZES}", cases=CASES, goals={"PyTorch": 3}, tolerance=1e-4)
def node_by_node(trees: int, leaves: int, H: int) -> Inputs:
    """A graph for each node."""
    return inputs(trees, leaves, H)


@workload(
    f"Tree-LSTM node by node, ours with an operator for the gates, {SIZES}",
    cases=CASES,
    goals={"PyTorch": 3},
    tolerance=1e-4,
)
def with_own_operator(trees: int, leaves: int, H: int) -> Inputs:
    """As node by node; what follows the product is one operator of ours, and many of PyTorch's."""
    return inputs(trees, leaves, H)


@workload(f"Tree-LSTM level by level, {SIZES}", cases=CASES, goals={"PyTorch": 1}, tolerance=1e-4)
def level_by_level(trees: int, leaves: int, H: int) -> Inputs:
    """A graph for all nodes of a level, of all trees."""
    words, shapes, parameters, g = inputs(trees, leaves, H)
    return words.reshape(-1, H), *in_levels(shapes, leaves), parameters, g


class Ours:
    """The two equations in spago."""

    def __init__(self, parameters: list[Array]) -> None:
        self.parameters = [ag.var(value, requires_grad=True) for value in parameters]
        self.w, self.b, self.u, self.d = self.parameters

    def leaf(self, x: Any) -> tuple[ag.Node, ag.Node]:
        """Return h and c of a word, or of words."""
        i, o, u = ag.split(ag.linear(x, self.w, self.b), 3)
        c = ag.sigmoid(i) * ag.tanh(u)
        return ag.sigmoid(o) * ag.tanh(c), c

    def node(self, h: ag.Node, left_c: ag.Node, right_c: ag.Node) -> tuple[ag.Node, ag.Node]:
        """Return h and c of a node whose children have these."""
        i, f_left, f_right, o, u = ag.split(ag.linear(h, self.u, self.d), 5)
        c = ag.sigmoid(i) * ag.tanh(u) + ag.sigmoid(f_left) * left_c + ag.sigmoid(f_right) * right_c
        return ag.sigmoid(o) * ag.tanh(c), c

    def gradients(self, roots: ag.Node, g: Array) -> Results:
        """Go back from the roots, and return them and the gradients of the parameters."""
        for parameter in self.parameters:
            parameter.zero_grad()
        roots.backward(g)
        return roots.value, *(parameter.grad for parameter in self.parameters)


@ag.operator
def gated(a: Array, *cells: Array) -> Any:
    """Return h and c for what feeds the gates i, an f for each child, o and u, and for the cells c of the children.

    c = σ(i) ⊙ tanh(u) + Σ σ(f) ⊙ c_child;  h = σ(o) ⊙ tanh(c)
    """
    H = a.shape[-1] // (3 + len(cells))
    s, u = mat.sigmoid(a[..., :-H]), np.tanh(a[..., -H:])
    i, o = s[..., :H], s[..., -H:]
    forget = [s[..., k * H : (k + 1) * H] for k in range(1, 1 + len(cells))]
    c = i * u
    for f, child in zip(forget, cells, strict=True):
        c += f * child
    t = np.tanh(c)

    def pullback(g: tuple[Any, Any], needs: tuple[bool, ...]) -> tuple[Any, ...]:
        g_h, g_c = (np.zeros_like(c) if part is None else part for part in g)
        g_c = g_c + g_h * o * (1 - t * t)
        g_a = np.concatenate([u, *cells, t, i * (1 - u * u)], axis=-1)
        g_a[..., :-H] *= s * (1 - s)
        by_gate = g_a.reshape(*a.shape[:-1], -1, H)
        by_gate[..., :-2, :] *= g_c[..., None, :]
        by_gate[..., -2, :] *= g_h
        by_gate[..., -1, :] *= g_c
        return g_a, *(g_c * f for f in forget)

    return (o * t, c), pullback


class OursInOneOperator(Ours):
    """The two equations in spago, with an operator of one's own for what follows the product."""

    def leaf(self, x: Any) -> tuple[ag.Node, ag.Node]:
        """Return h and c of a word, or of words."""
        h, c = gated(ag.linear(x, self.w, self.b))
        return h, c

    def node(self, h: ag.Node, left_c: ag.Node, right_c: ag.Node) -> tuple[ag.Node, ag.Node]:
        """Return h and c of a node whose children have these."""
        h, c = gated(ag.linear(h, self.u, self.d), left_c, right_c)
        return h, c


class Theirs:
    """The two equations in PyTorch."""

    def __init__(self, parameters: list[Array]) -> None:
        import torch

        self.linear = torch.nn.functional.linear
        self.parameters = [torch.tensor(value, requires_grad=True) for value in parameters]
        self.w, self.b, self.u, self.d = self.parameters

    def leaf(self, x: Any) -> tuple[Any, Any]:
        """Return h and c of a word, or of words."""
        i, o, u = self.linear(x, self.w, self.b).chunk(3, dim=-1)
        c = i.sigmoid() * u.tanh()
        return o.sigmoid() * c.tanh(), c

    def node(self, h: Any, left_c: Any, right_c: Any) -> tuple[Any, Any]:
        """Return h and c of a node whose children have these."""
        i, f_left, f_right, o, u = self.linear(h, self.u, self.d).chunk(5, dim=-1)
        c = i.sigmoid() * u.tanh() + f_left.sigmoid() * left_c + f_right.sigmoid() * right_c
        return o.sigmoid() * c.tanh(), c

    def gradients(self, roots: Any, g: Any) -> Results:
        """Go back from the roots, and return them and the gradients of the parameters."""
        for parameter in self.parameters:
            parameter.grad = None
        roots.backward(g)
        return roots, *(parameter.grad for parameter in self.parameters)


def root(model: Any, concat: Callable[[list[Any]], Any], words: Any, merges: Merges) -> Any:
    """Return h of the root of one tree."""
    states = [model.leaf(x) for x in words]
    for a, b in merges:
        (left_h, left_c), (right_h, right_c) = states[a], states[b]
        states.append(model.node(concat([left_h, right_h]), left_c, right_c))
    return states[-1][0]


@node_by_node.side("spago")
def _(words: Array, shapes: list[Merges], parameters: list[Array], g: Array) -> Run:
    return ours_node_by_node(Ours(parameters), words, shapes, g)


@with_own_operator.side("spago")
def _(words: Array, shapes: list[Merges], parameters: list[Array], g: Array) -> Run:
    return ours_node_by_node(OursInOneOperator(parameters), words, shapes, g)


def ours_node_by_node(model: Ours, words: Array, shapes: list[Merges], g: Array) -> Run:
    """Roots and gradients of all trees, one node after the other."""

    def run() -> Results:
        roots = [root(model, ag.concat, xs, merges) for xs, merges in zip(words, shapes, strict=True)]
        return model.gradients(ag.stack(roots), g)

    return run


@node_by_node.side("PyTorch")
@with_own_operator.side("PyTorch")
def _(words: Array, shapes: list[Merges], parameters: list[Array], g: Array) -> Run:
    import torch

    model, xs, arriving = Theirs(parameters), torch.tensor(words), torch.tensor(g)

    def run() -> Results:
        roots = [root(model, torch.cat, x, merges) for x, merges in zip(xs, shapes, strict=True)]
        return model.gradients(torch.stack(roots), arriving)

    return run


@level_by_level.side("spago")
def _(words: Array, levels: list[Any], roots: list[int], parameters: list[Array], g: Array) -> Run:
    model = Ours(parameters)
    rows = [(np.array(left), np.array(right)) for left, right in levels]

    def run() -> Results:
        h, c = model.leaf(words)
        for left, right in rows:
            of_children = ag.concat([h[left], h[right]])
            new_h, new_c = model.node(of_children, c[left], c[right])
            h, c = ag.concat([h, new_h], axis=0), ag.concat([c, new_c], axis=0)
        return model.gradients(h[roots], g)

    return run


@level_by_level.side("PyTorch")
def _(words: Array, levels: list[Any], roots: list[int], parameters: list[Array], g: Array) -> Run:
    import torch

    model, xs, arriving = Theirs(parameters), torch.tensor(words), torch.tensor(g)
    rows = [(torch.tensor(left), torch.tensor(right)) for left, right in levels]

    def run() -> Results:
        h, c = model.leaf(xs)
        for left, right in rows:
            of_children = torch.cat([h[left], h[right]], dim=-1)
            new_h, new_c = model.node(of_children, c[left], c[right])
            h, c = torch.cat([h, new_h]), torch.cat([c, new_c])
        return model.gradients(h[roots], arriving)

    return run
