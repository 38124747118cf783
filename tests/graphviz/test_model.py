"""Pictures of models: modules, parameters and shapes from one run, which leaves the model as it was."""

import re
from typing import Any

import numpy as np
import pytest

from spago import ag, graphviz, nn


class Block(nn.Module):
    def __init__(self, size: int) -> None:
        self.norm = nn.LayerNorm(size)
        self.attention = nn.MultiheadAttention(size, 2)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: ag.Node) -> ag.Node:
        h = self.norm(x)
        y: ag.Node = self.dropout(self.attention(h, h, h)) + x
        return y


class Encoder(nn.Module):
    def __init__(self, layers: int = 2) -> None:
        self.embedding = nn.Embedding(20, 8)
        self.layers = nn.ModuleList([Block(8) for _ in range(layers)])
        self.out = nn.Linear(8, 3)
        self.spare = nn.Linear(2, 2)

    def forward(self, indices: Any) -> ag.Node:
        x = self.embedding(indices)
        for layer in self.layers:
            x = layer(x)
        y: ag.Node = self.out(x)
        return y

    def tag(self, indices: Any) -> list[int]:
        return [int(i) for i in np.argmax(self(indices).value, axis=-1).ravel()]


INDICES = np.zeros((2, 5), np.int64)


def texts(dot: str, name: str) -> list[str]:
    """Return the lines of text in the box of a name."""
    line = next(line for line in dot.splitlines() if f"<b>{name}</b>" in line)
    return re.findall(r">([^<>]+)<", line)


def edges(dot: str) -> list[tuple[str, str]]:
    """Return the lines by the names of what they join."""
    names = dict(re.findall(r"(\d+) \[label=<<b>(.*?)</b>", dot))
    return sorted((names[a], names[b]) for a, b in re.findall(r"(\d+)->(\d+)", dot))


def frames(dot: str) -> list[str]:
    return re.findall(r'label="(\S.*)";', dot)


def test_modules_have_their_class_shapes_and_number_of_parameters() -> None:
    dot = graphviz.model(Encoder(), INDICES).dot
    assert texts(dot, "out") == ["out", "Linear", "2×5×8 → 2×5×3", "27 parameters"]
    assert texts(dot, "embedding") == ["embedding", "Embedding", "2×5×8", "160 parameters"]


def test_modules_with_parts_are_frames() -> None:
    model = Encoder()
    block = model.layers[0].num_parameters()
    assert sorted(frames(graphviz.model(model, INDICES).dot)) == [
        f"Encoder · {model.num_parameters():,} parameters",
        f"layers.0 · Block · {block} parameters",
        f"layers.1 · Block · {block} parameters",
    ]


def test_lines_say_what_goes_where() -> None:
    dot = graphviz.model(Encoder(1), INDICES).dot
    assert edges(dot) == [
        ("Add", "out"),
        ("attention", "Add"),
        ("embedding", "Add"),
        ("embedding", "norm"),
        ("indices", "embedding"),
        ("norm", "attention"),
        ("out", "result"),
    ]
    assert '[label=" 2×5 "]' in dot


def test_modules_are_opened_as_deep_as_asked() -> None:
    dot = graphviz.model(Encoder(), INDICES, clusters=2).dot
    assert edges(dot) == [
        ("embedding", "layers.0"),
        ("indices", "embedding"),
        ("layers.0", "layers.1"),
        ("layers.1", "out"),
        ("out", "result"),
    ]
    assert "<b>Encoder</b>" in graphviz.model(Encoder(), INDICES, clusters=0).dot
    assert "in_proj_weight" in graphviz.model(Encoder(), INDICES, clusters=9).dot


@pytest.mark.parametrize("max_nodes", [5, 7, 8, 20])
def test_modules_are_closed_until_few_enough_boxes_are_left(max_nodes: int) -> None:
    dot = graphviz.model(Encoder(12), INDICES, max_nodes=max_nodes).dot
    assert len(re.findall(r"\d \[label=<", dot)) <= max_nodes


def test_a_module_that_is_not_used_says_so() -> None:
    assert texts(graphviz.model(Encoder(), INDICES).dot, "spare")[2] == "not used in this run"


def test_without_inputs_the_tree_is_drawn() -> None:
    dot = graphviz.model(Encoder()).dot
    assert texts(dot, "out") == ["out", "Linear", "weight 3×8, bias 3", "27 parameters"]
    invisible = re.findall(r"\d+->\d+ \[style=invis\]", dot)
    assert len(invisible) == len(edges(dot)) == 8
    mermaid = graphviz.model(Encoder()).mermaid
    assert mermaid.count(" ~~~ ") == 8


def test_of_layers_that_are_built_alike_one_is_drawn() -> None:
    model = Encoder(12)
    dot = graphviz.model(model, INDICES).dot
    block = model.layers[0].num_parameters()
    assert frames(dot) == [
        f"Encoder · {model.num_parameters():,} parameters",
        f"layers.0 … layers.11 · Block × 12 · {block} parameters each",
    ]
    assert edges(dot) == [
        ("Add", "Add"),
        ("Add", "norm"),
        ("Add", "out"),
        ("attention", "Add"),
        ("embedding", "Add"),
        ("embedding", "norm"),
        ("indices", "embedding"),
        ("norm", "attention"),
        ("out", "result"),
    ]
    assert len(re.findall(r"style=dashed,constraint=false", dot)) == 2
    assert len(re.findall(r"<b>norm</b>", graphviz.model(model, INDICES, max_nodes=None).dot)) == 12


def test_modules_without_parameters_are_in_the_tree() -> None:
    dot = graphviz.model(nn.Sequential(nn.Linear(2, 3), nn.Activation("relu"), nn.Dropout(0.5))).dot
    assert re.findall(r"<b>(.*?)</b>", dot) == ["0", "1", "2"]
    assert "<b>Dropout</b>" in graphviz.model(nn.Dropout(0.5)).dot


def test_of_layers_that_are_built_alike_one_is_in_the_tree() -> None:
    dot = graphviz.model(Encoder(30)).dot
    assert len(re.findall(r"<b>norm</b>", dot)) == 1
    assert re.search(r'label="0 … 29 · Block × 30 · \d+ parameters each"', dot)


def test_layers_that_only_look_alike_are_drawn_one_by_one() -> None:
    model = Encoder(12)
    model.layers[5].attention = nn.MultiheadAttention(8, 4, bias=False)
    titles = frames(graphviz.model(model, INDICES).dot)[1:]
    assert [title.partition(" ·")[0] for title in titles] == [
        "layers.6 … layers.11",
        "layers.5",
        "layers.0 … layers.4",
    ]
    model = Encoder(12)
    model.layers[5].norm.weight.requires_grad = False
    assert len(frames(graphviz.model(model, INDICES).dot)) == 4


def test_a_folded_layer_goes_on_in_itself() -> None:
    dot = graphviz.model(Encoder(50), INDICES, max_nodes=6).dot
    assert texts(dot, "layers.0 … layers.49")[1] == "Block × 50"
    assert ("layers.0 … layers.49", "layers.0 … layers.49") in edges(dot)


def test_operators_of_a_long_loop_are_folded_beside_its_modules() -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            self.cell, self.out = nn.LSTM(3, 4), nn.Linear(4, 2)

        def forward(self, xs: ag.Node) -> ag.Node:
            state = None
            for i in range(100):
                state = self.cell.next(xs[i], state)
            assert state is not None
            y: ag.Node = self.out(state.h)
            return y

    dot = graphviz.model(Steps(), np.ones((100, 3))).dot
    assert edges(dot) == [
        ("Getitem × 100", "cell"),
        ("cell", "cell"),
        ("cell", "out"),
        ("out", "result"),
        ("xs", "Getitem × 100"),
    ]


def test_the_result_of_a_module_is_drawn_below_it() -> None:
    crf = nn.CRF(3)
    picture = graphviz.model(crf, np.ones((4, 3)), np.array([0, 1, 2, 0]), method="negative_log_likelihood")
    assert texts(picture.dot, "negative_log_likelihood")[1] == "scalar"


def test_arrays_of_floats_become_variables_called_like_the_arguments() -> None:
    dot = graphviz.model(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), np.ones((5, 2), np.float32)).dot
    assert edges(dot) == [("0", "1"), ("1", "result"), ("x", "0")]


def test_a_module_that_goes_on_from_its_own_result_has_a_line_to_itself() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            self.step = nn.Linear(3, 3)

        def forward(self, x: ag.Node) -> ag.Node:
            for _ in range(4):
                x = self.step(x)
            return x

    dot = graphviz.model(Loop(), np.ones(3)).dot
    assert ("step", "step") in edges(dot)
    assert texts(dot, "step")[2] == "3 → 3, 4 calls"


def test_methods_other_than_forward_count() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            self.cell = nn.LSTM(3, 4)

        def forward(self, x: ag.Node) -> ag.Node:
            return self.cell.next(x).h

    assert texts(graphviz.model(Model(), np.ones(3)).dot, "cell")[2].startswith("3 → 4")


def test_another_method_can_be_run() -> None:
    crf = nn.CRF(3)
    picture = graphviz.model(crf, np.ones((4, 3)), np.array([0, 1, 2, 0]), method="negative_log_likelihood")
    assert "4×3 → scalar" in picture.dot


def test_a_run_leaves_the_model_as_it_was() -> None:
    model = Encoder()
    model.layers[1].eval()
    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    graphviz.model(model, INDICES)
    assert {name: vars(module) for name, module in model.named_modules()} == before
    assert [module.training for module in model.layers] == [True, False]


def test_a_run_that_fails_leaves_the_model_as_it_was() -> None:
    model = Encoder()
    with pytest.raises(IndexError):
        graphviz.model(model, np.array([99]))
    assert all("forward" not in vars(module) for module in model.modules())
    assert model.training


def test_the_graph_is_built_inside_no_grad() -> None:
    with ag.no_grad():
        assert edges(graphviz.model(Encoder(1), INDICES).dot)


@pytest.mark.parametrize(
    ("model", "inputs", "method", "error", "message"),
    [
        (3, (1.0,), "__call__", TypeError, "expected a model with named_modules, got int"),
        (Encoder(), (INDICES,), "sing", TypeError, "expected a method of Encoder, got 'sing'"),
        (Encoder(), (INDICES,), "tag", ValueError, "expected Encoder to return nodes, got none; name a method="),
    ],
)
def test_what_cannot_be_drawn_is_said(
    model: Any, inputs: tuple[Any, ...], method: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        graphviz.model(model, *inputs, method=method)
