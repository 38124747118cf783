"""Trains the PyTorch twin of the tagger, and measures it."""

import time
from collections.abc import Sequence

import torch
from torch.nn.utils import clip_grad_norm_

from benchmarks.tagger.result import Result
from benchmarks.tagger.twin import Twin, Weights, WordVectors
from examples.tagger.data import Batch, Indices, Vocabulary, accuracy, batches, training_batches
from examples.tagger.settings import Settings
from examples.tagger.treebank import Sentence, Split
from spago.mat.rand import LockedRand


def run(parts: Split, vocabulary: Vocabulary, settings: Settings, weights: Weights, seed: int) -> Result:
    """Train from the given weights, on the batches that the seed gives, and tag what was held back."""
    torch.manual_seed(seed)  # for the masks of dropout
    tagger = TwinTagger(vocabulary, settings, weights)
    rng = LockedRand(seed)
    tokens = sum(map(len, parts.train))
    steps = settings.epochs * -(-len(parts.train) // settings.batch_size)
    start = time.perf_counter()
    for _ in range(settings.epochs):
        for batch, tags in training_batches(
            parts.train, vocabulary, rng, size=settings.batch_size, word_dropout=settings.word_dropout
        ):
            tagger.step(batch, tags, learning_rate=settings.learning_rate * (1 - tagger.steps / steps))
    trained = time.perf_counter()
    dev, test = tagger.accuracy(parts.dev), tagger.accuracy(parts.test)
    tagged = time.perf_counter()
    return Result(
        side="PyTorch",
        seed=seed,
        dev=dev,
        test=test,
        training_seconds=trained - start,
        training_tokens_per_second=settings.epochs * tokens / (trained - start),
        tagging_tokens_per_second=sum(map(len, parts.dev + parts.test)) / (tagged - trained),
    )


class TwinTagger:
    """The twin with its vocabulary and its optimizer."""

    def __init__(self, vocabulary: Vocabulary, settings: Settings, weights: Weights) -> None:
        weights = dict(weights)
        self.steps = 0
        self._vocabulary, self._settings = vocabulary, settings
        self._words = WordVectors(torch.tensor(weights.pop("word_embedding")), vocabulary)
        self._model = Twin(vocabulary, settings)
        self._model.load_weights(weights)
        self._parameters = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.Adam(self._parameters, fused=True)

    def step(self, batch: Batch, tags: Indices, learning_rate: float) -> float:
        """Learn from one batch and return its loss."""
        self._model.train()
        self.steps += 1
        rows, place = self._words.rows(batch.keys)
        vectors = self._words[rows].requires_grad_()
        scores = self._model(batch, vectors[place])
        loss = self._model.crf.loss(scores, torch.from_numpy(tags), torch.from_numpy(batch.lengths))
        loss.backward()
        clip_grad_norm_([*self._parameters, vectors], self._settings.max_norm)
        self._optimizer.param_groups[0]["lr"] = learning_rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._words.step(rows, vectors.grad, self.steps, learning_rate)
        return loss.item()

    @torch.inference_mode()
    def tag(self, batch: Batch) -> list[list[str]]:
        """Return the tags of each sentence of the batch."""
        self._model.eval()
        rows, place = self._words.rows(batch.keys)
        scores = self._model(batch, self._words[rows][place])
        decoded = self._model.crf.decode(scores, torch.from_numpy(batch.lengths))
        return [[self._vocabulary.tags[k] for k in tags] for tags in decoded]

    def accuracy(self, sentences: Sequence[Sentence]) -> float:
        """Return the share of the words that get their tag."""
        by_length = sorted(sentences, key=len)
        tagged = [tags for batch in batches(by_length, self._vocabulary) for tags in self.tag(batch)]
        return accuracy(by_length, tagged)
