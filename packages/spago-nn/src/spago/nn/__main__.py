"""Model files from the command line: `python -m spago.nn inspect FILE`, `python -m spago.nn convert IN OUT`."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spago import nn
from spago.nn import gob
from spago.nn._checkpoint import Checkpoint
from spago.nn._inspect import inspect_file, is_gob
from spago.nn._progress import watched
from spago.nn._safetensors import save_arrays

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
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m spago.nn", description="Look at model files, and convert them.")
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="names, shapes, dtypes, sizes and metadata of a file")
    inspect.add_argument("file", type=Path, help="gob, safetensors, an index of several of these, or PyTorch's")
    inspect.add_argument("--json", action="store_true", help="for programs")
    convert = commands.add_parser("convert", help="between Go Spago's gob and safetensors, and from PyTorch's")
    convert.add_argument("input", type=Path, metavar="IN", help="a gob file, one of nn.save, or PyTorch's")
    convert.add_argument("output", type=Path, metavar="OUT", help="a file; gob if it ends in .gob, else safetensors")
    convert.add_argument(
        "--kind", help="the Go type of a gob file, such as *rmsnorm.Model, where its fields do not say"
    )
    return parser


def _convert(source: Path, target: Path, kind: str | None) -> None:
    """Read a model in one format and write it in the other.

    Raises:
        ValueError: Both are of one format, or the model is not one that both have.
    """
    with source.open("rb") as file:
        from_torch = file.read(4) == b"PK\3\4"
    from_gob, to_gob = is_gob(source), target.suffix == ".gob"
    if from_gob == to_gob and not from_torch:
        ending = "another ending than .gob" if from_gob else "the ending .gob"
        raise ValueError(f"{target}: expected {ending}, as {source} is {'' if from_gob else 'not '}of that format")
    if from_torch and to_gob:
        raise ValueError(f"{source}: expected a file of nn.save, got one of PyTorch, which tells of no layers")
    with _progress(source):
        if from_torch:
            with Checkpoint(source) as file:
                save_arrays(target, {name: file.read_any(name) for name in file.shapes})
        elif from_gob:
            nn.save(gob.load_model(source, kind), target)
        else:
            gob.save_model(nn.load_model(source), target)
    sys.stdout.write(f"{target}: {target.stat().st_size:,} bytes\n")


@contextmanager
def _progress(source: Path) -> Generator[None]:
    """A bar for a large file, by tqdm where it is installed: one half is for reading, one for writing."""
    size = source.stat().st_size
    try:
        tqdm: Any = importlib.import_module("tqdm").tqdm if size > _LARGE else None
    except ImportError:
        tqdm = None
    if tqdm is None:
        yield
        return
    with tqdm(total=2 * size, unit="B", unit_scale=True, desc=source.name) as bar:
        with watched(lambda done: bar.update(min(done, bar.total - bar.n))):
            yield
        bar.update(bar.total - bar.n)  # what is no array


if __name__ == "__main__":
    sys.exit(main())
