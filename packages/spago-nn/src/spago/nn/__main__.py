"""Model files from the command line: `python -m spago.nn inspect FILE`, `python -m spago.nn convert IN OUT`."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spago import nn
from spago.nn import gob
from spago.nn._inspect import inspect_file, is_gob

_LARGE = 50_000_000


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status, which is 2 after one line about what is wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        if given.command == "inspect":
            info = inspect_file(given.file)
            text = json.dumps(info.json(), ensure_ascii=True, indent=2) if given.json else info.table()
            sys.stdout.write(f"{text}\n")
        else:
            _convert(given.input, given.output, given.kind)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m spago.nn", description="Look at model files, and convert them.")
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="names, shapes, dtypes, sizes and metadata of a file")
    inspect.add_argument("file", type=Path, help="gob, safetensors, an index of several of these, or PyTorch's")
    inspect.add_argument("--json", action="store_true", help="for programs")
    convert = commands.add_parser("convert", help="between Go Spago's gob and safetensors, by the ending .gob")
    convert.add_argument("input", type=Path, metavar="IN", help="a gob file, or one of nn.save")
    convert.add_argument("output", type=Path, metavar="OUT", help="a .safetensors or .gob file")
    convert.add_argument(
        "--kind", help="the Go type of a gob file, such as *rmsnorm.Model, where its fields do not say"
    )
    return parser


def _convert(source: Path, target: Path, kind: str | None) -> None:
    """Read a model in one format and write it in the other.

    Raises:
        ValueError: Both are of one format, or the model is not one that both have.
    """
    from_gob = is_gob(source)
    if from_gob == (target.suffix == ".gob"):
        raise ValueError(f"{target}: expected {'another ending than .gob' if from_gob else 'a file that ends in .gob'}")
    with _progress(source) as advance:
        model = gob.load_model(source, kind) if from_gob else nn.load_model(source)
        advance()
        if from_gob:
            nn.save(model, target)
        else:
            gob.save_model(model, target)
        advance()


@contextmanager
def _progress(source: Path) -> Generator[Callable[[], object]]:
    """A bar for a large file, by tqdm where it is installed; it advances once read and once written."""
    size = source.stat().st_size
    try:
        tqdm: Any = importlib.import_module("tqdm").tqdm if size > _LARGE else None
    except ImportError:
        tqdm = None
    if tqdm is None:
        yield lambda: None
        return
    with tqdm(total=2 * size, unit="B", unit_scale=True, desc=source.name) as bar:
        yield lambda: bar.update(size)


if __name__ == "__main__":
    sys.exit(main())
