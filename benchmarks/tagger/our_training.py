"""Trains the tagger of examples/tagger, and measures it."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.tagger.result import Result
from benchmarks.tagger.twin import Weights
from examples.tagger.data import UNKNOWN, Vocabulary
from examples.tagger.model import new_tagger
from examples.tagger.settings import Settings
from examples.tagger.training import Training, measure
from examples.tagger.treebank import Split


def run(parts: Split, vocabulary: Vocabulary, settings: Settings, weights: Weights, seed: int) -> Result:
    """Train from the given weights, on the batches that the seed gives, and tag what was held back."""
    settings = replace(settings, seed=seed)
    tokens = sum(map(len, parts.train))
    with tempfile.TemporaryDirectory() as folder, new_tagger(Path(folder), vocabulary, settings) as tagger:
        network = dict(weights)
        tagger.words.set_many([UNKNOWN, *vocabulary.words], network.pop("word_embedding"))
        tagger.load_state_dict(network)
        training = Training(tagger, settings, parts.train, seed)
        start = time.perf_counter()
        for _ in range(settings.epochs):
            for _ in training.epoch():
                pass
        trained = time.perf_counter()
        dev, test = measure(tagger, parts.dev), measure(tagger, parts.test)
        tagged = time.perf_counter()
    return Result(
        side="spago",
        seed=seed,
        dev=dev,
        test=test,
        training_seconds=trained - start,
        training_tokens_per_second=settings.epochs * tokens / (trained - start),
        tagging_tokens_per_second=sum(map(len, parts.dev + parts.test)) / (tagged - trained),
    )
