"""Which words are near: cosine similarity over a whole store, block by block."""

from __future__ import annotations

import heapq
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from spago.embeddings._files import Progress, reporting
from spago.embeddings._index import vector_blocks
from spago.embeddings._keys import Word, key_of
from spago.embeddings._store import Store
from spago.mat import Array, FormatError, ShapeError

WordOrVector: TypeAlias = Word | npt.NDArray[np.floating]

_BLOCK_SCORES = 1 << 22  # cosines that are computed at once


class UnknownWordError(KeyError):
    """Words are not in the store, and nothing stands for them.

    Attributes:
        words: These words, each once.
    """

    def __init__(self, words: list[Word], count: int) -> None:
        super().__init__(words, count)
        self.words = words

    def __str__(self) -> str:  # that of KeyError would be the repr of the message
        words, count = self.args
        return (
            f"embeddings: expected words of the store, got {len(words)} of {count} that are not there, such as "
            f'{words[0]!r}; leave them out, or look words up in a model with unknown="zero", "train" or a function'
        )


class Neighbour(NamedTuple):
    """A word that is near.

    Attributes:
        word: Its text; its bytes when they are no text.
        similarity: The cosine, from -1 to 1.
    """

    word: str | bytes
    similarity: float


class AnalogyScore(NamedTuple):
    """How well questions were answered.

    Attributes:
        right: Questions whose answer was the nearest word.
        asked: Questions that were asked.
        left_out: Questions with words that are not in the store.
    """

    right: int
    asked: int
    left_out: int

    @property
    def accuracy(self) -> float:
        """The share of right answers; nan when nothing was asked."""
        return self.right / self.asked if self.asked else float("nan")


class Queries:
    """Questions about all vectors of a store. Each reads them once, in blocks, and its answer is exact.

    The first one copies the vectors of a store on disk to a file beside it, where they are more than 16 MB, and later
    ones read that, many times as fast. The copy is made anew when the store has changed; it may be removed at any time.
    """

    @property
    def store(self) -> Store:
        """The store."""
        raise NotImplementedError

    def get(self, word: Word) -> Array | None:
        """Return the vector of a word, shape (D,), or None."""
        raise NotImplementedError

    def similarity(self, word: WordOrVector, other: WordOrVector) -> float:
        """Return the cosine of two words, or vectors; 0 where one is zero.

        Raises:
            UnknownWordError: A KeyError: a word is not in the store.
        """
        units = self._units([word, other])
        return float(units[0] @ units[1])

    def most_similar(
        self,
        positive: WordOrVector | Sequence[WordOrVector] = (),
        negative: WordOrVector | Sequence[WordOrVector] = (),
        topn: int = 10,
        *,
        among: Collection[Word] | None = None,
        progress: Progress = None,
    ) -> list[Neighbour]:
        """Return the words nearest to a sum of unit vectors, most similar first; of equals, the first in byte order.

        king − man + woman is `most_similar(["king", "woman"], ["man"])`. The words asked about are not in the answer.

        Args:
            positive: Words, or vectors of shape (D,), to add.
            negative: Those to subtract.
            topn: How many to return.
            among: Look only among these words.
            progress: A function that is told how many words of how many are done, or True for a bar by tqdm.

        Raises:
            UnknownWordError: A KeyError: a word is not in the store.

        Examples:
            >>> from spago import embeddings
            >>> model = embeddings.Model(embeddings.MemoryRepository().store("words"), 2)
            >>> model.set_many(["ev", "konut", "at"], [[1, 0], [2, 1], [-1, 3]])
            >>> [(near.word, round(near.similarity, 2)) for near in model.most_similar("ev")]
            [('konut', 0.89), ('at', -0.32)]
        """
        plus, minus = _as_list(positive), _as_list(negative)
        if not plus and not minus:
            raise ValueError("most_similar: expected words or vectors to look for, got none")
        units = self._units([*plus, *minus])
        query = units[: len(plus)].sum(axis=0) - units[len(plus) :].sum(axis=0)
        asked = {key_of(word) for word in (*plus, *minus) if not isinstance(word, np.ndarray)}
        candidates = None if among is None else {key_of(word) for word in among}
        # By similarity, then by place: of equals the first one seen stays.
        best: list[tuple[float, int, bytes]] = []
        place = 0
        for keys, scores in self._scores(_unit(query)[None], progress):
            worst = best[0][0] if len(best) >= topn else -np.inf
            for i in np.flatnonzero(scores[:, 0] > worst).tolist():
                key = keys[i]
                if key in asked or (candidates is not None and key not in candidates):
                    continue
                entry = float(scores[i, 0]), -(place + i), key
                if len(best) < topn:
                    heapq.heappush(best, entry)
                elif best and entry > best[0]:
                    heapq.heapreplace(best, entry)
            place += len(keys)
        return [Neighbour(_shown(key), score) for score, _, key in sorted(best, reverse=True)]

    def doesnt_match(self, words: Sequence[Word]) -> Word:
        """Return the word that is least similar to the mean of all.

        Raises:
            UnknownWordError: A KeyError: a word is not in the store.
        """
        if not words:
            raise ValueError("doesnt_match: expected words, got none")
        units = self._units(words)
        return words[int(np.argmin(units @ units.mean(axis=0)))]

    def analogies(
        self,
        questions: str | os.PathLike[str] | Iterable[str],
        *,
        lowercase: bool = False,
        progress: Progress = None,
    ) -> dict[str, AnalogyScore]:
        """Answer analogies, a is to b as c is to d, and count how often d is found.

        All questions are answered in one pass over the store.

        Args:
            questions: A file in the form of word2vec's questions-words.txt, or its lines: four words each, and
                `: title` before each section.
            lowercase: Take questions in lower case, for vectors of words in lower case.
            progress: A function that is told how many words of how many are done, or True for a bar by tqdm.

        Returns:
            Scores by section, and that of all questions under `total`.

        Raises:
            FormatError: A line has another number of words.
        """
        sections = _sections(questions, lowercase)
        words = list({word: None for section in sections.values() for question in section for word in question})
        vectors = [self.get(word) for word in words]
        units = {word: _unit(vector) for word, vector in zip(words, vectors, strict=True) if vector is not None}
        known = [q for section in sections.values() for q in section if units.keys() >= set(q)]
        answers = self._nearest(known, units, progress) if known else {}
        scores = {
            title: AnalogyScore(
                sum(answers.get(q[:3]) == q[3].encode() for q in section if q[:3] in answers),
                sum(units.keys() >= set(q) for q in section),
                sum(not units.keys() >= set(q) for q in section),
            )
            for title, section in sections.items()
        }
        totals = np.array([*scores.values(), (0, 0, 0)]).sum(axis=0).tolist()
        return {**scores, "total": AnalogyScore(*totals)}

    def _nearest(
        self, questions: Sequence[tuple[str, ...]], units: dict[str, Array], progress: Progress
    ) -> dict[tuple[str, ...], bytes]:
        """Return the word nearest to b - a + c for each question, other than these three."""
        asked = list(dict.fromkeys(q[:3] for q in questions))
        queries: Array = np.stack([_unit(units[b] - units[a] + units[c]) for a, b, c in asked])
        own: dict[bytes, list[int]] = {}
        for number, question in enumerate(asked):
            for word in question:
                own.setdefault(word.encode(), []).append(number)
        best = np.full(len(asked), -np.inf)
        found = [b""] * len(asked)
        for keys, scores in self._scores(queries, progress):
            for i, key in enumerate(keys):
                if key in own:
                    scores[i, own[key]] = -np.inf
            places = scores.argmax(axis=0)
            highest = np.take_along_axis(scores, places[None], axis=0)[0]
            for number in np.flatnonzero(highest > best).tolist():
                found[number] = keys[places[number]]
            np.maximum(best, highest, out=best)
        return dict(zip(asked, found, strict=True))

    def _scores(self, queries: Array, progress: Progress) -> Iterator[tuple[Sequence[bytes], Array]]:
        """Yield some keys, and the cosine of each with each query, shape (N, Q)."""
        rows = max(_BLOCK_SCORES // len(queries), 1)
        done, total = 0, len(self.store)
        with reporting(progress, "words", self.store.name) as tell:
            for keys, values, lengths in vector_blocks(self.store):
                queries = queries.astype(values.dtype, copy=False)
                for start in range(0, len(keys), rows):
                    part = slice(start, start + rows)
                    scores: Array = values[part] @ queries.T
                    scores /= lengths[part, None]
                    yield keys[part], scores
                done += len(keys)
                tell(done, total)

    def _units(self, words: Sequence[WordOrVector]) -> Array:
        """Return unit vectors of words, or of vectors, shape (N, D)."""
        vectors: list[Array] = []
        unknown: list[Word] = []
        for word in words:
            vector = word if isinstance(word, np.ndarray) else self.get(word)
            if vector is not None:
                vectors.append(_unit(vector))
            elif not isinstance(word, np.ndarray) and word not in unknown:
                unknown.append(word)
        if unknown:
            raise UnknownWordError(unknown, len(words))
        size = self.store.attributes.get("size")
        for vector in vectors:
            if vector.shape != (size,):
                raise ShapeError(f"embeddings: expected vectors of shape ({size},), got {vector.shape}")
        return np.stack(vectors)


def _as_list(words: WordOrVector | Sequence[WordOrVector]) -> list[WordOrVector]:
    return [words] if isinstance(words, (str, bytes, int, np.ndarray)) else list(words)


def _unit(vector: Array) -> Array:
    """Return a vector of length 1 in the same direction, in float64; zeros of zeros."""
    wide = np.asarray(vector, np.float64)
    length = np.sqrt(wide @ wide) if wide.ndim == 1 else 1.0
    unit: Array = wide / length if length else wide
    return unit


def _shown(key: bytes) -> str | bytes:
    try:
        return key.decode()
    except UnicodeDecodeError:
        return key


def _sections(questions: str | os.PathLike[str] | Iterable[str], lowercase: bool) -> dict[str, list[tuple[str, ...]]]:
    """Return the questions by title."""
    if isinstance(questions, (str, os.PathLike)):
        name, lines = str(questions), Path(questions).read_text(encoding="utf-8").splitlines()
    else:
        name, lines = "questions", list(questions)
    sections: dict[str, list[tuple[str, ...]]] = {}
    section: list[tuple[str, ...]] | None = None
    for number, line in enumerate(lines, 1):
        if line.startswith(":"):
            section = sections.setdefault(line[1:].strip(), [])
        elif words := tuple((line.lower() if lowercase else line).split()):
            if len(words) != 4:
                raise FormatError(f"{name}:{number}: expected four words, or a title after a colon, got {line[:60]!r}")
            section = sections.setdefault("questions", []) if section is None else section
            section.append(words)
    return sections
