"""Pictures of computation graphs.

Any node can be drawn with all that it was computed from: operators as ovals, leaves as boxes, blue for what was given,
orange for what is learned, grey for constants, green for results, red for what holds NaN or Inf. Where this package is
installed, results, graphs and models show themselves in notebooks.

Examples:
    >>> from spago import ag, graphviz
    >>> x, w = ag.var(-0.8, name="x"), ag.var(0.4, name="w", requires_grad=True)
    >>> print(graphviz.to_mermaid(ag.sigmoid(w * x)))  # doctest: +ELLIPSIS
    flowchart LR
        n0(["Sigmoid<br/>0.4207"]):::result
    ...
"""

from spago.graphviz._model import model
from spago.graphviz._networkx import to_networkx
from spago.graphviz._notebook import mimebundle
from spago.graphviz._options import Options
from spago.graphviz._picture import Drawable, Picture, encode, render, show, to_dot, to_html, to_mermaid
from spago.graphviz._render import DrawingError, NoRendererError

__all__ = [
    "Drawable",
    "DrawingError",
    "NoRendererError",
    "Options",
    "Picture",
    "encode",
    "mimebundle",
    "model",
    "render",
    "show",
    "to_dot",
    "to_html",
    "to_mermaid",
    "to_networkx",
]
