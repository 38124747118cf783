# ruff: noqa: INP001
"""Make the gallery, docs/gallery.md and its pictures in docs/images: python -m docs.make_gallery, run from the root.

Each function draws one picture. Its docstring and its code are what the gallery shows beside it.
"""

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

import numpy as np
import numpy.typing as npt

from examples.tagger.data import Vocabulary, make_batch
from examples.tagger.model import new_tagger
from examples.tagger.settings import Settings
from examples.tagger.treebank import Sentence
from spago import ag, graphviz, nn

HEAD = """# Gallery

What `spago.graphviz` makes of some networks. Blue is what was given, orange what is learned, white what is computed,
green the result. The pictures and this page are made by [make_gallery.py](make_gallery.py).
"""


def perceptron() -> graphviz.Picture:
    """A perceptron.

    y = σ(w·x + b), with the value of each node: the graph of a result, as it was computed.
    """
    x = ag.var(-0.8, name="x")
    w = ag.var(0.4, requires_grad=True, name="w")
    b = ag.var(-0.2, requires_grad=True, name="b")
    y = ag.sigmoid(w * x + b)
    return graphviz.Picture(y, names={y: "y"})


def lstm() -> graphviz.Picture:
    """An LSTM over four steps.

    The cell, written out. A `TimeStepHandler` knows the step of each node, and each step has a frame. One product
    computes all four gates; `Split` is one node with four results, whose numbers stand on the lines. On its way from
    step to step, from c1 to c4, the memory meets a product and a sum, nothing else: that is why gradients get through.
    """
    steps = ag.TimeStepHandler()
    weight = ag.var(np.ones((16, 7)), requires_grad=True, name="weight")
    h: ag.Node = ag.var(np.zeros(4), name="h0")
    c: ag.Node = ag.var(np.zeros(4), name="c0")
    names: dict[ag.Node, str] = {}
    for t in range(1, 5):
        steps.next()
        x = ag.var(np.ones(3), name=f"x{t}")
        parts = ag.split(weight @ ag.concat([x, h]), 4)
        i, f, o = (ag.sigmoid(part) for part in parts[:3])
        g = ag.tanh(parts[3])
        c = f * c + i * g
        h = o * ag.tanh(c)
        names |= {i: "i", f: "f", g: "g", o: "o", c: f"c{t}", h: f"h{t}"}
    return graphviz.Picture(h, names=names, time_steps=steps, shapes="none", direction="TB")


def self_attention() -> graphviz.Picture:
    """Self-attention.

    The graph of a layer: three projections of the same five words meet in one operator. Names come from the model, and
    make the frames.
    """
    layer = nn.SelfAttention(8, key_size=4, value_size=6)
    words = ag.var(np.ones((5, 8), np.float32), name="words")
    return graphviz.Picture(layer(words), names=layer)


def bilstm_crf() -> graphviz.Picture:
    """A BiLSTM-CRF tagger.

    `graphviz.model` runs a model once and shows its modules, what goes between them, and how many parameters each has.
    This is the [tagger](../examples/tagger), with the loss that it is trained on: the characters of each word go
    through an LSTM, its last states join the vector of the word, and a second LSTM reads the sentence.
    """
    sentence = Sentence(("Ali", "topu", "at"), ("PROPN", "NOUN", "VERB"))
    vocabulary = Vocabulary.of([sentence])
    tags = np.array([[vocabulary.tag_ids[tag] for tag in sentence.tags]])
    with TemporaryDirectory() as folder, new_tagger(Path(folder), vocabulary, Settings()) as tagger:
        return graphviz.model(tagger, make_batch([sentence.words], vocabulary), tags, method="loss")


def transformer() -> graphviz.Picture:
    """A Transformer layer.

    Two shortcuts, each around a normalization and what follows it: attention among the words, then two linear layers at
    each word for itself.
    """
    layer = nn.TransformerEncoderLayer(64, 4, 256, activation=ag.gelu, norm_first=True)
    return graphviz.model(layer, np.ones((10, 64), np.float32))


def encoder() -> graphviz.Picture:
    """A Transformer of twelve layers.

    Of layers that are built alike one is drawn. The dashed arrows lead from each layer to the next.
    """

    class Encoder(nn.Module):
        def __init__(self) -> None:
            self.embedding = nn.Embedding(10_000, 256)
            self.layers = nn.ModuleList([nn.TransformerEncoderLayer(256, 8, 1024) for _ in range(12)])
            self.head = nn.Linear(256, 2)

        def forward(self, words: npt.NDArray[np.int64]) -> ag.Node:
            x = self.embedding(words)
            for layer in self.layers:
                x = layer(x)
            y: ag.Node = self.head(x)
            return y

    return graphviz.model(Encoder(), np.zeros((2, 10), np.int64))


PICTURES: list[Callable[[], graphviz.Picture]] = [perceptron, lstm, self_attention, bilstm_crf, transformer, encoder]


def page() -> str:
    """Return the text of gallery.md."""
    return "\n".join([HEAD, *(_section(picture) for picture in PICTURES)])


def _section(picture: Callable[[], graphviz.Picture]) -> str:
    title, _, text = inspect.cleandoc(picture.__doc__ or "").partition("\n\n")
    title = title.rstrip(".")
    code = inspect.getsource(picture).split('"""')[2].strip("\n")
    return f"## {title}\n\n{text}\n\n![{title}](images/{picture.__name__}.svg)\n\n```python\n{dedent(code)}\n```\n"


def main(folder: Path) -> None:
    """Write the page and its pictures to a folder."""
    (folder / "images").mkdir(exist_ok=True)
    for picture in PICTURES:
        # Without comments, which name the version of Graphviz.
        drawing = re.sub(r"<!--.*?-->\n?", "", picture().svg, flags=re.DOTALL)
        (folder / "images" / f"{picture.__name__}.svg").write_text(drawing, encoding="utf-8")
    (folder / "gallery.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
