"""Embeddings: vectors of words that live in a store, and are trained there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.embeddings._keys import Word, key_of, name_of
from spago.embeddings._nodes import EmbeddedWords, Embedding
from spago.embeddings._queries import Queries, UnknownWordError
from spago.embeddings._rows import TouchedRows
from spago.embeddings._store import Store, StoreError
from spago.embeddings._vectors import Block, Vectors, agree, note
from spago.mat import Array, ShapeError
from spago.nn import Payload

Unknown: TypeAlias = Literal["zero", "train"] | Callable[[Word], npt.ArrayLike | None] | None
"""What stands for a word that is not in the store."""


class _Resolved(NamedTuple):
    """What words stand for.

    Attributes:
        keys: T different keys of the store.
        rows: Their vectors, then constant ones, shape (T + C, D).
        places: Which row each word has, shape (N,); -1 for one that is unknown.
    """

    keys: list[bytes]
    rows: Array
    places: npt.NDArray[np.intp]


class Model(Queries):
    """Vectors of words in a store, of which only those in use are in memory.

    It takes part in an `nn.Module` that has it as an attribute: its `parameters()` are the rows that have a gradient,
    and an optimizer's step writes their new vectors and its own state for them in one atomic batch. The vectors are not
    part of `state_dict`; a pickle holds the settings alone, and `attach` gives it a store again. A deep copy is the
    same object: two models of one store would undo each other's updates.

    Looking up, gradients, and writing may be done from several threads at once.

    Args:
        store: Where the vectors are.
        size: D, the numbers in a vector; may be left out for a store that has been used before.
        dtype: float32 or float64, of a store that is new; else that of the store.
        trainable: Whether gradients are collected; True unless the store is read-only.
        unknown: What stands for a word that is not in the store. None: `embed` returns None and `embed_many` raises.
            "zero": zeros. "train": the vector of unknown_key, trained with the others. A function: the vector that it
            returns for the word, as a constant, or None.
        unknown_key: The word whose vector stands for unknown ones with "train"; made of zeros where it is missing.
        lowercase: Look a word up in lower case when it is not there as it is.
        cache_bytes: Bound for the memory that keeps vectors and their state between look-ups. A step reads each row
            once when its rows fit.

    Raises:
        ShapeError: The store holds vectors of another size.
        ValueError: The size is neither given nor known; the dtype is another than the store's.

    Examples:
        >>> from spago import embeddings
        >>> repository = embeddings.MemoryRepository()
        >>> model = Model(repository.store("words"), 2)
        >>> model.set_many(["ev", "at"], [[1, 2], [3, 4]])
        >>> model.embed_many(["at", "ev", "at"]).value
        array([[3., 4.],
               [1., 2.],
               [3., 4.]], dtype=float32)
    """

    def __init__(
        self,
        store: Store,
        size: int | None = None,
        *,
        dtype: npt.DTypeLike | None = None,
        trainable: bool | None = None,
        unknown: Unknown = None,
        unknown_key: Word = "<unk>",
        lowercase: bool = False,
        cache_bytes: int = 32 << 20,
    ) -> None:
        if not (unknown is None or callable(unknown) or unknown in ("zero", "train")):
            raise ValueError(f'Model: expected unknown to be None, "zero", "train" or a function, got {unknown!r}')
        self.size, self.dtype = agree(store, size, dtype)
        self.trainable = not store.read_only if trainable is None else trainable
        self.unknown = unknown
        self.unknown_key = unknown_key
        self.lowercase = lowercase
        self.cache_bytes = cache_bytes
        self._vectors: Vectors | None = None
        self.attach(store)

    def attach(self, store: Store) -> None:
        """Give a model that was unpickled its store.

        Raises:
            StoreError: When it has one already, or the vector for unknown words is missing in a read-only store.
            ShapeError: When the store holds vectors of another size.
        """
        if self._vectors is not None:
            raise StoreError("Model: expected a model without a store, got one that has one; make another model")
        agree(store, self.size, self.dtype)
        makes_unknown = self.unknown == "train" and key_of(self.unknown_key) not in store
        if makes_unknown and store.read_only:
            raise StoreError(
                f"Model: expected the vector of {self.unknown_key!r} in read-only store {store.name!r}, found none; "
                'use unknown="zero"'
            )
        if not store.read_only:
            note(store, self.size, self.dtype)
        self._vectors = Vectors(store, self.size, self.dtype, self.cache_bytes, self.trainable)
        self._rows = TouchedRows(self._vectors)
        if makes_unknown:
            self.set(self.unknown_key, np.zeros(self.size, self.dtype))

    @property
    def store(self) -> Store:
        """The store."""
        return self._open().store

    def _open(self) -> Vectors:
        if self._vectors is None:
            raise StoreError("Model: expected a store, got a model from a pickle, without one; call attach(store)")
        return self._vectors

    # Looking up

    def embed(self, word: Word) -> ag.Node | None:
        """Return the vector of a word as a leaf of the graph, shape (D,), or what stands for it, or None.

        Raises:
            DamagedRecordError: When the record of the word is damaged.
        """
        resolved = self._resolve([word])
        place = int(resolved.places[0])
        if place < 0:
            return None
        if place >= len(resolved.keys):
            return ag.var(resolved.rows[place], name=name_of(word))
        key, value = resolved.keys[0], resolved.rows[0]
        vectors = self._open()
        with vectors.lock:
            node = vectors.nodes.get(key)
            if node is None:
                node = Embedding(self._rows, key, value, requires_grad=self.trainable, name=name_of(word))
                vectors.nodes[key] = node
            elif not np.array_equal(node.value, value, equal_nan=True):
                node.value = value  # somebody wrote to the store without this model
            return node

    def embed_many(self, words: Sequence[Word]) -> EmbeddedWords:
        """Return the vectors of words as one leaf of the graph, shape (N, D).

        The gradient of a word that occurs several times is the sum over its places.

        Raises:
            UnknownWordError: A KeyError: words are not in the store and nothing stands for them.
            DamagedRecordError: When a record is damaged.
        """
        resolved = self._resolve_all(words)
        value = resolved.rows[resolved.places]
        return EmbeddedWords(self._rows, resolved.keys, value, resolved.places, requires_grad=self.trainable)

    def get(self, word: Word) -> Array | None:
        """Return a copy of the vector of a word, shape (D,), or None; nothing stands for an absent word here."""
        block = self._open().read([key_of(word)])
        return block.values[0] if block.found[0] else None

    def get_many(self, words: Sequence[Word]) -> Array:
        """Return the vectors of words, shape (N, D), as `embed_many` does but outside of any graph."""
        resolved = self._resolve_all(words)
        return resolved.rows[resolved.places]

    def payload(self, word: Word) -> Payload | None:
        """Return a copy of the state that an optimizer has stored with a word, arrays of shape (D,), or None."""
        return self._open().payload(key_of(word))

    def __contains__(self, word: Word) -> bool:
        return key_of(word) in self.store

    def __len__(self) -> int:
        return len(self.store)

    def keys(self) -> Iterator[bytes]:
        """Iterate over the keys of all words in byte order."""
        return self.store.keys()

    def _resolve_all(self, words: Sequence[Word]) -> _Resolved:
        resolved = self._resolve(words)
        absent: list[int] = np.flatnonzero(resolved.places < 0).tolist()
        if absent:
            raise UnknownWordError(list(dict.fromkeys(words[i] for i in absent)), len(words))
        return resolved

    def _resolve(self, words: Sequence[Word]) -> _Resolved:
        """Find what words stand for."""
        number: dict[bytes, int] = {}
        places = np.array([number.setdefault(key_of(word), len(number)) for word in words], np.intp)
        keys = list(number)
        block = self._open().read(keys)
        if block.found.all():
            return _Resolved(keys, block.values, places)
        return self._substitute({key_of(word): word for word in words}, block, keys, places)

    def _substitute(
        self, words: dict[bytes, Word], block: Block, keys: list[bytes], places: npt.NDArray[np.intp]
    ) -> _Resolved:
        """Find what stands for the words that were not found: other words of the store, then constants."""
        stored = np.flatnonzero(block.found)
        row_of = np.full(len(keys), -1, np.intp)
        row_of[stored] = np.arange(len(stored))
        known = {keys[i]: row for row, i in enumerate(stored)}
        rows = [block.values[stored]]
        absent = np.flatnonzero(~block.found)
        others = list({other: None for i in absent for other in self._alternatives(words[keys[i]])})
        other_block = self._open().read(others)
        available = {key: i for i, key in enumerate(others) if other_block.found[i]}
        for i in absent:
            for other in self._alternatives(words[keys[i]]):
                if other in available:
                    if other not in known:
                        known[other] = len(known)
                        rows.append(other_block.values[available[other], None])
                    row_of[i] = known[other]
                    break
        count = len(known)
        for i in absent[row_of[absent] < 0]:
            constant = self._constant(words[keys[i]])
            if constant is not None:
                row_of[i] = count
                rows.append(constant[None])
                count += 1
        return _Resolved(list(known), np.concatenate(rows), row_of[places])

    def _alternatives(self, word: Word) -> list[bytes]:
        """Return the keys to look for, one after the other, when a word is not there as it is."""
        keys = [key_of(word.lower())] if self.lowercase and isinstance(word, str) else []
        return [*keys, key_of(self.unknown_key)] if self.unknown == "train" else keys

    def _constant(self, word: Word) -> Array | None:
        """Return the vector that stands for an unknown word without being trained."""
        if self.unknown == "zero":
            return np.zeros(self.size, self.dtype)
        value = self.unknown(word) if callable(self.unknown) else None
        return None if value is None else self._checked(np.asarray(value)[None], 1)[0]

    # Writing

    def set(self, word: Word, vector: npt.ArrayLike) -> None:
        """Store a copy of the vector of a word, new or not, and forget its gradient and the optimizer's state.

        Raises:
            ShapeError: When vector is not of shape (D,).
            StoreError: When the store cannot write.
        """
        array = np.asarray(vector, self.dtype)
        if array.shape != (self.size,):
            raise ShapeError(f"Model.set: expected a vector of shape ({self.size},) for {word!r}, got {array.shape}")
        self.set_many([word], array[None])

    def set_many(self, words: Sequence[Word], vectors: npt.ArrayLike) -> None:
        """Store the vectors of words in one atomic batch; of a word that occurs twice the last one counts.

        Args:
            words: N words, new or not.
            vectors: Shape (N, D).

        Raises:
            ShapeError: When vectors has another shape.
            StoreError: When the store cannot write; then nothing is written.
        """
        array = self._checked(vectors, len(words))
        last = {key_of(word): i for i, word in enumerate(words)}
        keys = list(last)
        opened = self._open()
        with opened.lock:
            opened.write(keys, array[list(last.values())], None)
            self._rows.drop(keys)

    def delete(self, word: Word) -> bool:
        """Remove a word with its gradient and state; return whether it was there."""
        key = key_of(word)
        vectors = self._open()
        with vectors.lock:
            self._rows.drop([key])
            return vectors.store.delete(key)

    def clear_state(self) -> None:
        """Remove the optimizer's state from all words; the vectors stay. For training with another optimizer."""
        vectors = self._open()
        with vectors.lock:
            vectors.clear_state()
            if self.trainable:
                self._rows.forget_state()

    def _checked(self, vectors: npt.ArrayLike, count: int) -> Array:
        array: Array = np.asarray(vectors, self.dtype)
        if array.shape != (count, self.size):
            raise ShapeError(
                f"Model: expected vectors of shape {(count, self.size)}, one row a word, got {array.shape}"
            )
        return array

    # Training

    def parameters(self) -> Iterator[TouchedRows]:
        """The words that have a gradient, as one parameter: the same object each time, even while there are none."""
        if self._vectors is not None and self.trainable:
            yield self._rows

    def zero_grad(self) -> None:
        """Forget the gradients of all words."""
        if self._vectors is not None:
            self._rows.zero_grad()

    def __getstate__(self) -> dict[str, Any]:
        names = ("size", "dtype", "trainable", "unknown", "unknown_key", "lowercase", "cache_bytes")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._vectors = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __repr__(self) -> str:
        words = "no store" if self._vectors is None else f"{len(self):,} words in store {self.store.name!r}"
        return f"Model({words}, size={self.size}, {self.dtype})"
