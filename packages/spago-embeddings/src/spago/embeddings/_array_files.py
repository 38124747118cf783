"""Vectors as one array in a NumPy or safetensors file, with the words in a text file beside it or in another array."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spago import nn
from spago.embeddings._text import MAX_WORD_BYTES, Choose, Fault, Rows, check_size, finite_rows, is_text
from spago.mat import Array, FormatError

VECTORS, WORDS = "vectors", "words"
"""The names of the arrays in a file that holds both; words are UTF-8, one a line, as bytes."""

_BLOCK_NUMBERS = 1 << 20


class ArrayVectors:
    """The vectors of an array file, block by block; the array stays on disk.

    Args:
        path: A file .npy, .npz or .safetensors.
        vocabulary: A text file with one word a line; may be left out when the file holds the words, or when the
            vocabulary has the same name with the ending .vocab.
        tensor: The name of the array of vectors; may be left out when it is called `vectors`, or is the only array with
            two axes.

    Attributes:
        size: D.
        promised: V, the rows of the array.

    Raises:
        FormatError: The file is damaged, or words and vectors do not fit together.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        vocabulary: str | os.PathLike[str] | None = None,
        tensor: str | None = None,
    ) -> None:
        path = Path(path)
        arrays = _arrays_of(path)
        name = tensor or _vectors_of(arrays, path)
        if name not in arrays:
            raise FormatError(f"{path}: expected an array {name!r}, got {sorted(arrays)[:10]}")
        self._vectors = arrays[name]
        if self._vectors.ndim != 2 or self._vectors.dtype.kind != "f":
            raise FormatError(
                f"{path}: expected an array of floats of shape (V, D), got {self._vectors.dtype} {self._vectors.shape}"
            )
        self.promised: int | None = self._vectors.shape[0]
        self.size = check_size(self._vectors.shape[1], str(path))
        self._path = path
        self._words = _words_of(arrays, path, vocabulary)
        if len(self._words) != self.promised:
            raise FormatError(
                f"{path}: expected one word for each of {self.promised} vectors, got {len(self._words)} words; "
                "is it the right vocabulary?"
            )

    def blocks(self, choose: Choose) -> Iterator[Rows]:
        """Yield the vectors of the words that are chosen; lines are counted from 1 on."""
        step = max(_BLOCK_NUMBERS // self.size, 1)
        for start in range(0, len(self._words), step):
            words = self._words[start : start + step]
            wanted: npt.NDArray[np.intp] = np.fromiter(choose(words), np.intp)
            places: list[int] = wanted.tolist()
            with np.errstate(over="ignore"):
                values: Array = np.asarray(self._vectors[start : start + step])[wanted].astype(np.float32)
            good = finite_rows(values)
            good &= np.array([0 < len(words[i]) <= MAX_WORD_BYTES and is_text(words[i]) for i in places], np.bool_)
            faults = [
                Fault(start + 1 + i, f"expected a word in UTF-8 and {self.size} finite numbers, got {words[i][:60]!r}")
                for i in wanted[~good].tolist()
            ]
            wanted, values = wanted[good], values[good]
            keys = [words[i] for i, is_good in zip(places, good.tolist(), strict=True) if is_good]
            yield Rows(keys, values, wanted.astype(np.int64) + start + 1, faults, len(words), start + 1 + len(words))


def vocabulary_beside(path: Path) -> Path:
    """Return where the words of an array file are, when not in it."""
    return path.with_suffix(".vocab")


def _arrays_of(path: Path) -> dict[str, npt.NDArray[Any]]:
    if path.suffix == ".safetensors":
        return nn.load_arrays(path, memory_map=True)
    try:
        if path.suffix == ".npy":
            return {VECTORS: np.load(path, mmap_mode="r", allow_pickle=False)}
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise FormatError(f"{path}: expected a NumPy file of arrays, got: {error}") from error
    except Exception as error:  # zipfile, zlib and the reader of headers each have errors of their own
        raise FormatError(f"{path}: expected a NumPy file of arrays, got: {type(error).__name__}: {error}") from error


def _vectors_of(arrays: dict[str, npt.NDArray[Any]], path: Path) -> str:
    if VECTORS in arrays:
        return VECTORS
    names = [name for name, array in arrays.items() if array.ndim == 2 and array.dtype.kind == "f"]
    if len(names) != 1:
        raise FormatError(f"{path}: expected an array {VECTORS!r}, or one with two axes, got {sorted(arrays)[:10]}")
    return names[0]


def _words_of(
    arrays: dict[str, npt.NDArray[Any]], path: Path, vocabulary: str | os.PathLike[str] | None
) -> list[bytes]:
    """Return the words, as UTF-8."""
    if vocabulary is None and WORDS in arrays:
        words = arrays[WORDS]
        if words.dtype == np.uint8 and words.ndim == 1:
            return _lines(words.tobytes())
        if words.dtype.kind in "US" and words.ndim == 1:
            return [word.encode() if isinstance(word, str) else word for word in words.tolist()]
        raise FormatError(f"{path}: expected {WORDS!r} of text, shape (V,), got {words.dtype} {words.shape}")
    file = vocabulary_beside(path) if vocabulary is None else Path(vocabulary)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: expected a file with the words of {path}, one a line, found none")
    return _lines(file.read_bytes())


def _lines(text: bytes) -> list[bytes]:
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines
