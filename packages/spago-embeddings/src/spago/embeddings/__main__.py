"""Stores of word vectors from the command line: import, export, look at, search, check and repair them.

A STORE is a folder, of LevelDB, or a file that ends in .sqlite or .db, of SQLite.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spago.embeddings._check import check
from spago.embeddings._export import EXPORT_FORMATS, export_vectors
from spago.embeddings._import import FORMATS, import_vectors
from spago.embeddings._leveldb_store import LevelDBRepository
from spago.embeddings._model import Model
from spago.embeddings._queries import UnknownWordError
from spago.embeddings._repair import repair
from spago.embeddings._sqlite import SQLiteRepository
from spago.embeddings._store import Store

BAD_INPUT = 2  # the exit status for what the user can mend
SQLITE_ENDINGS = (".sqlite", ".sqlite3", ".db")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for, and return the exit status: 1 for a store that is damaged."""
    options = parse(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever read what is printed has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UnknownWordError as error:
        print(f"error: {options.store}: not there: {', '.join(map(str, error.words))}", file=sys.stderr)  # noqa: T201
        return BAD_INPUT
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {_for_the_shell(str(error))}", file=sys.stderr)  # noqa: T201
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\ninterrupted; an import goes on where it was when it is started again", file=sys.stderr)  # noqa: T201
        return 130


def _for_the_shell(message: str) -> str:
    """Return a message with what a user of Python would write put as a user of the command does."""
    for python, shell in (('on_error="skip"', "--skip"), ("`names()`", "`info`"), ("read_only=True", "reading")):
        message = message.replace(python, shell)
    return message


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what the command line asks for, with the function that does it as `run`."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m spago.embeddings", description=__doc__, formatter_class=text)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(run=run)
        return added

    def takes_store(added: argparse.ArgumentParser) -> None:
        added.add_argument("store", metavar="STORE", type=Path)
        added.add_argument("--name", default="", help="of the store, where the folder or file holds several")

    added = command("import", run_import, "read a file of vectors into a store")
    added.add_argument("file", metavar="FILE", type=Path)
    takes_store(added)
    added.add_argument("--format", choices=FORMATS, help="how FILE is written (default: found out)")
    added.add_argument("--member", help="which file of a zip file")
    added.add_argument("--vocabulary", metavar="FILE", help="the words of .npy and .safetensors, one a line")
    added.add_argument("--tensor", metavar="NAME", help="the array of .npz and .safetensors")
    added.add_argument("--words", metavar="FILE", type=Path, help="read only words that are in this file, one a line")
    added.add_argument("--limit", metavar="N", type=int, help="look at the first N vectors")
    added.add_argument("--skip", action="store_true", help="leave malformed lines out instead of stopping at the first")
    added.add_argument("--quiet", action="store_true", help="show no bar")

    added = command("export", run_export, "write the vectors of a store to a file")
    takes_store(added)
    added.add_argument("file", metavar="FILE", type=Path)
    added.add_argument("--format", choices=EXPORT_FORMATS, help="how FILE is written (default: what it ends in)")
    added.add_argument("--skip", action="store_true", help="leave words out that the format has no room for")
    added.add_argument("--quiet", action="store_true", help="show no bar")

    added = command("info", run_info, "say what a folder or file holds")
    added.add_argument("store", metavar="STORE", type=Path)

    added = command("get", run_get, "print the vectors of words")
    takes_store(added)
    added.add_argument("words", metavar="WORD", nargs="+")

    added = command("similar", run_similar, "print the words nearest to a sum of others")
    takes_store(added)
    added.add_argument("words", metavar="WORD", nargs="*", help="to add")
    added.add_argument("--minus", metavar="WORD", action="append", default=[], help="to subtract; may be repeated")
    added.add_argument("--top", metavar="N", type=int, default=10, help="how many to print (default: %(default)s)")

    added = command("check", run_check, "read every record and verify its checksum")
    added.add_argument("store", metavar="STORE", type=Path)

    added = command("repair", run_repair, "make the best of a damaged LevelDB store, and say what was changed")
    added.add_argument("store", metavar="STORE", type=Path)
    return parser.parse_args(arguments)


def open_repository(path: Path, *, read_only: bool = True) -> LevelDBRepository | SQLiteRepository:
    """Open the folder or file."""
    kind = SQLiteRepository if path.suffix in SQLITE_ENDINGS else LevelDBRepository
    return kind(path, read_only=read_only)


def run_import(options: argparse.Namespace) -> int:
    """Import, and print what came of it."""
    words = None if options.words is None else set(options.words.read_text(encoding="utf-8").split("\n"))
    if not options.file.is_file():  # before a store is made
        raise FileNotFoundError(f"{options.file}: expected a file of vectors, found none")
    with open_repository(options.store, read_only=False) as repository:
        report = import_vectors(
            options.file,
            repository.store(options.name),
            format=options.format,
            member=options.member,
            vocabulary=options.vocabulary,
            tensor=options.tensor,
            words=words,
            limit=options.limit,
            on_error="skip" if options.skip else "raise",
            progress=not options.quiet or None,
        )
    if report.resumed_at:
        show(f"went on at line {report.resumed_at:,}")
    show(f"{report.written:,} vectors written")
    if report.left_out:
        show(f"not wanted: {report.left_out:,}")
    if report.duplicates:
        lines = ", ".join(map(str, report.duplicate_lines[:10]))
        show(f"duplicates left out: {report.duplicates:,}, at lines {lines}{', …' if report.duplicates > 10 else ''}")
    if report.malformed:
        show(f"malformed: {report.malformed:,}")
        for fault in report.faults[:10]:
            show(f"  line {fault.line}: {fault.message}")
    return 0


def run_export(options: argparse.Namespace) -> int:
    """Export, and print how much."""
    if not options.file.absolute().parent.is_dir():
        raise FileNotFoundError(f"{options.file}: expected a file in a folder that exists; make the folder first")
    with open_repository(options.store) as repository:
        report = export_vectors(
            repository.store(options.name, read_only=True),
            options.file,
            format=options.format,
            on_error="skip" if options.skip else "raise",
            progress=not options.quiet or None,
        )
    show(f"{report.written:,} vectors written" + (f", {report.left_out:,} left out" if report.left_out else ""))
    return 0


def run_info(options: argparse.Namespace) -> int:
    """Print stores, sizes and bytes on disk."""
    with open_repository(options.store) as repository:
        for name in repository.names():
            store = repository.store(name, read_only=True)
            about = dict(store.attributes)
            unfinished = "; an import is not finished" if about.pop("import", None) is not None else ""
            said = ", ".join(f"{key} {value}" for key, value in sorted(about.items()))
            show(f"{name!r}: {len(store):,} words{', ' + said if said else ''}{unfinished}")
    path: Path = options.store
    files = path.iterdir() if path.is_dir() else path.parent.glob(path.name + "*")
    show(f"{sum(file.stat().st_size for file in files if file.is_file()) / 1e6:,.1f} MB on disk")
    return 0


def run_get(options: argparse.Namespace) -> int:
    """Print vectors, a line each, as word2vec writes them."""
    with open_repository(options.store) as repository:
        model = opened_model(repository.store(options.name, read_only=True))
        vectors = [model.get(word) for word in options.words]
        absent = [word for word, vector in zip(options.words, vectors, strict=True) if vector is None]
        if absent:
            raise UnknownWordError(absent, len(options.words))
        for word, vector in zip(options.words, vectors, strict=True):
            if vector is not None:
                show(word + " " + " ".join(f"{number:.9g}" for number in vector.tolist()))
    return 0


def run_similar(options: argparse.Namespace) -> int:
    """Print neighbours."""
    with open_repository(options.store) as repository:
        model = opened_model(repository.store(options.name, read_only=True))
        for near in model.most_similar(options.words, options.minus, options.top):
            word = near.word if isinstance(near.word, str) else repr(near.word)
            show(f"{near.similarity:7.4f}  {word}")
    return 0


def run_check(options: argparse.Namespace) -> int:
    """Check all stores, and return 1 when one is damaged."""
    damaged = False
    with open_repository(options.store) as repository:
        for name in repository.names():
            report = check(repository.store(name, read_only=True))
            damaged |= not report.ok
            show(f"{name!r}: {report.found:,} of {report.expected:,} records found, {len(report.damaged):,} damaged")
            for key in report.damaged[:20]:
                show(f"  {key!r}")
            if report.unreadable:
                show(f"  {report.unreadable}")
    return int(damaged)


def run_repair(options: argparse.Namespace) -> int:
    """Repair, and print what was changed."""
    if options.store.suffix in SQLITE_ENDINGS:
        raise ValueError(f"{options.store}: expected a LevelDB store; SQLite has `sqlite3 FILE .recover` for its own")
    report = repair(options.store)
    for name, store in report.stores.items():
        promised = "an unknown number" if store.expected is None else f"{store.expected:,}"
        show(f"{name!r}: {store.found:,} records of {promised}, {len(store.removed):,} damaged ones removed")
        for key in store.removed[:20]:
            show(f"  {key!r}")
    show(f"{report.lost_batches:,} batches lost; files set aside: {', '.join(report.set_aside) or 'none'}")
    return 0


def opened_model(store: Store) -> Model:
    """Return a model for looking up."""
    return Model(store, trainable=False)


def show(line: str) -> None:
    """Print a line."""
    print(line)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
