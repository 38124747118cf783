"""Writing the vectors of a store to files that other programs read."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from spago import nn
from spago.embeddings._array_files import VECTORS, WORDS, vocabulary_beside
from spago.embeddings._chunks import Chunk, chunks
from spago.embeddings._files import Progress, open_target, replacing, reporting, stem_of
from spago.embeddings._store import Store
from spago.embeddings._text import is_text
from spago.mat import FormatError

ExportFormat: TypeAlias = Literal["word2vec", "glove", "binary", "npy", "safetensors"]
EXPORT_FORMATS: tuple[ExportFormat, ...] = ("word2vec", "glove", "binary", "npy", "safetensors")

_ENDINGS: dict[str, ExportFormat] = {".bin": "binary", ".npy": "npy", ".safetensors": "safetensors"}


class ExportReport(NamedTuple):
    """What an export has done.

    Attributes:
        written: Vectors in the file.
        left_out: Keys that the format has no room for: no UTF-8, or with spaces or control characters in them.
    """

    written: int
    left_out: int


def export_vectors(
    store: Store,
    path: str | os.PathLike[str],
    *,
    format: ExportFormat | None = None,
    words: Collection[str] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    progress: Progress = None,
) -> ExportReport:
    """Write the vectors of a store to a file, in the byte order of their words.

    Numbers are of float32, in text with the nine digits that give the same float32 again. The file takes the place of
    an old one when it is complete. Memory does not grow with the store, but for the words of safetensors.

    Args:
        store: Where the vectors are.
        path: The file. One that ends in .gz or .zip is compressed.
        format: "word2vec": text with a header, as fastText's .vec. "glove": text without. "binary": that of word2vec.
            "npy": an array of shape (V, D), with the words in a file .vocab beside it. "safetensors": the arrays
            `vectors` and `words`, UTF-8 with a newline after each. None: what the ending says, .bin, .npy or
            .safetensors, else word2vec.
        words: Only these words.
        on_error: What to do about keys that the format has no room for, such as words with spaces in it.
        progress: A function that is told how many words of how many are done, or True for a bar by tqdm.

    Raises:
        ValueError: A key has no place in the format.
        DamagedRecordError: A record is damaged; then nothing is written.

    Examples:
        >>> import pathlib, tempfile
        >>> from spago import embeddings
        >>> store = embeddings.MemoryRepository().store("words")
        >>> embeddings.Model(store, 2).set_many(["ev", "at"], [[1, 2], [3, 0.1]])
        >>> file = pathlib.Path(tempfile.mkdtemp(), "words.txt")
        >>> embeddings.export_vectors(store, file).written
        2
        >>> print(file.read_text(), end="")
        2 2
        at 3 0.100000001
        ev 1 2
    """
    chosen: ExportFormat = format or _ENDINGS.get(Path(stem_of(path)).suffix, "word2vec")
    if chosen not in EXPORT_FORMATS:
        raise ValueError(f"export_vectors: expected a format of {', '.join(EXPORT_FORMATS)}, got {chosen!r}")
    size = store.attributes.get("size")
    if not isinstance(size, int):
        raise FormatError(f"store {store.name!r}: expected vectors, got a store without; is its name right?")
    keys = None if words is None else {word.encode() for word in words}
    fits = _FITS[chosen]
    if on_error == "raise":
        _refuse_misfits(store, keys, fits, chosen)
    written = sum(keys is None or key in keys for key in filter(fits, store.keys()))
    total = len(store)
    with reporting(progress, "words", Path(path).name) as tell:
        selected = _selected(store, keys, fits, lambda done: tell(done, total))
        if chosen == "npy":
            _write_array(Path(path), selected, written, size)
        elif chosen == "safetensors":
            _write_safetensors(Path(path), selected, written, size)
        else:
            with open_target(path) as file:
                _write_lines(file, selected, written, size, chosen)
    misfits = 0 if on_error == "raise" else sum(not fits(key) for key in iter(store.keys()))
    return ExportReport(written, misfits)


_CONTROLS = bytes(range(32))
_SPACES = bytes(range(33))


def _is_line(key: bytes) -> bool:
    return bool(key) and is_text(key) and key.translate(None, _CONTROLS) == key


def _is_field(key: bytes) -> bool:
    return bool(key) and is_text(key) and key.translate(None, _SPACES) == key


_FITS: dict[str, Callable[[bytes], bool]] = {
    "word2vec": _is_field,
    "glove": _is_field,
    "binary": _is_field,
    "npy": _is_line,
    "safetensors": _is_line,
}


def _refuse_misfits(store: Store, keys: set[bytes] | None, fits: Callable[[bytes], bool], chosen: str) -> None:
    for key in itertools.filterfalse(fits, store.keys()):
        if keys is None or key in keys:
            raise ValueError(
                f"store {store.name!r}: expected words that {chosen} has room for, got {key[:60]!r}; "
                'leave such words out with on_error="skip"'
            )


def _selected(
    store: Store, keys: set[bytes] | None, fits: Callable[[bytes], bool], tell: Callable[[int], object]
) -> Iterator[Chunk]:
    done = 0
    for chunk in chunks(store):
        done += len(chunk.keys)
        places = [i for i, key in enumerate(chunk.keys) if (keys is None or key in keys) and fits(key)]
        if places:
            yield Chunk([chunk.keys[i] for i in places], chunk.values[places].astype(np.float32))
        tell(done)


def _write_lines(file: IO[bytes], selected: Iterable[Chunk], count: int, size: int, chosen: str) -> None:
    if chosen != "glove":
        file.write(b"%d %d\n" % (count, size))
    line = b" %.9g" * size + b"\n"
    for chunk in selected:
        if chosen == "binary":
            rows = chunk.values.astype("<f4")
            file.writelines(key + b" " + row.tobytes() + b"\n" for key, row in zip(chunk.keys, rows, strict=True))
        else:
            rows_of_numbers: list[list[float]] = chunk.values.tolist()
            file.writelines(key + line % tuple(row) for key, row in zip(chunk.keys, rows_of_numbers, strict=True))


def _write_array(path: Path, selected: Iterable[Chunk], count: int, size: int) -> None:
    with replacing(path) as temporary, replacing(vocabulary_beside(path)) as vocabulary:
        _fill(temporary, vocabulary, selected, count, size)


def _fill(array_file: Path, vocabulary: Path, selected: Iterable[Chunk], count: int, size: int) -> Any:
    """Write vectors to a .npy file and words to a text file; return the array, a map of the file."""
    array: Any = np.lib.format.open_memmap(array_file, mode="w+", dtype=np.dtype("<f4"), shape=(count, size))
    start = 0
    with vocabulary.open("wb") as file:
        for keys, values in selected:
            array[start : start + len(keys)] = values
            file.writelines(key + b"\n" for key in keys)
            start += len(keys)
    array.flush()
    return array


def _write_safetensors(path: Path, selected: Iterable[Chunk], count: int, size: int) -> None:
    # The file needs its array whole: it is put together on disk, and copied from there.
    array_file, vocabulary = (path.with_name(f".{path.name}.{ending}.tmp") for ending in ("npy", "vocab"))
    try:
        array = _fill(array_file, vocabulary, selected, count, size)
        words = np.frombuffer(vocabulary.read_bytes(), np.uint8)
        nn.save_arrays(path, {VECTORS: array, WORDS: words}, {"format": "spago-embeddings"})
    finally:
        array_file.unlink(missing_ok=True)
        vocabulary.unlink(missing_ok=True)
