"""Draw a graph that a script makes: `python -m spago.graphviz script.py:node -o g.svg`."""

from __future__ import annotations

import argparse
import runpy
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from spago.ag import GraphError, Node
from spago.ag.graph import Graph
from spago.graphviz._model import model
from spago.graphviz._options import Options
from spago.graphviz._picture import Picture, default_options
from spago.graphviz._render import DrawingError, NoRendererError


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status, which is 2 after one line about what is wrong with its arguments."""
    parser = _parser()
    given = parser.parse_args(arguments)
    script, _, name = given.node.rpartition(":")
    if not script or not name.isidentifier():
        parser.error(f"expected a script and a variable, as in script.py:y, got {given.node!r}")
    if not Path(script).is_file():
        parser.error(f"{script}: expected a Python file, found none")
    # What the script prints is not part of the picture; what it raises is its own affair.
    with redirect_stdout(sys.stderr):
        variables = runpy.run_path(script, run_name="__main__")
    try:
        picture = _picture(given, script, name, variables)
        if given.output is None:
            sys.stdout.write(picture.dot)
        else:
            picture.save(given.output)
    except (ValueError, OSError, GraphError, NoRendererError, DrawingError) as error:
        parser.error(str(error))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m spago.graphviz", description="Run a script and draw what it made: a node, or a model."
    )
    parser.add_argument("node", metavar="SCRIPT:NODE", help="a Python file, and the variable with a node or a model")
    endings = "where to draw: .svg, .png, .pdf, .html, .dot, .mmd; by default DOT is printed"
    parser.add_argument("-o", "--output", help=endings)
    parser.add_argument("--names", metavar="MODEL", help="the variable that holds the model whose names to show")
    parser.add_argument("--max-nodes", type=int, help="fold until this many nodes are left; in drawings by default 100")
    parser.add_argument("--shapes", choices=("nodes", "edges", "none"), help="where shapes stand")
    parser.add_argument("--dtypes", action="store_true", help="show dtypes with the shapes")
    parser.add_argument("--values", type=int, default=1, help="up to how many elements a value is shown (default: 1)")
    parser.add_argument("--direction", choices=("LR", "TB", "RL", "BT"), help="LR: to the right")
    return parser


def _picture(given: argparse.Namespace, script: str, name: str, variables: dict[str, Any]) -> Picture:
    """Return the picture of a variable, with the options that were given."""
    options = Options(dtypes=given.dtypes, values=given.values)
    if given.shapes:
        options["shapes"] = given.shapes
    if given.direction:
        options["direction"] = given.direction
    if given.names:
        options["names"] = _variable(script, variables, given.names)
    if given.max_nodes is not None:
        options["max_nodes"] = given.max_nodes
    value = _variable(script, variables, name)
    if isinstance(value, Node | Graph):
        return Picture(value, **(default_options(given.output) | options))
    if callable(getattr(value, "named_modules", None)):
        return model(value, **options)
    raise ValueError(f"{script}: expected {name!r} to be a node or a model, got {type(value).__name__}")


def _variable(script: str, variables: dict[str, Any], name: str) -> Any:
    if name not in variables:
        raise ValueError(f"{script}: expected a variable {name!r} after the script has run, found none")
    return variables[name]


if __name__ == "__main__":
    sys.exit(main())
