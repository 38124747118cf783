"""How the tagger learns: Adam on mini-batches, with a learning rate that falls to zero and a clipped gradient."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tqdm import tqdm

from examples.tagger.data import accuracy, batches, training_batches
from examples.tagger.model import Tagger
from examples.tagger.settings import Settings
from examples.tagger.treebank import Sentence
from spago import optim
from spago.mat.rand import LockedRand


@dataclass
class History:
    """What happened in training.

    Attributes:
        losses: The loss of each step.
        dev: The accuracy on the development sentences after each epoch.
        seconds: What the training steps took, without the measuring of accuracies.
    """

    losses: list[float] = field(default_factory=list)
    dev: list[float] = field(default_factory=list)
    seconds: float = 0.0


class Training:
    """The steps that change a tagger.

    Args:
        tagger: What is trained.
        settings: How.
        sentences: What it learns from.
        seed: Of the order of the sentences and the words that are shown as unknown.
    """

    def __init__(self, tagger: Tagger, settings: Settings, sentences: Sequence[Sentence], seed: int) -> None:
        self.tagger = tagger
        self.settings = settings
        self.sentences = sentences
        self.steps_an_epoch = -(-len(sentences) // settings.batch_size)
        self._rng = LockedRand(seed)
        rate = optim.LinearDecay(settings.learning_rate, steps=settings.epochs * self.steps_an_epoch)
        self._optimizer = optim.Adam(tagger, rate, clip_norm=settings.max_norm)

    def epoch(self) -> Iterator[tuple[float, int]]:
        """Learn from each sentence once; yield the loss and the number of words of each step."""
        self.tagger.train()
        for batch, tags in training_batches(
            self.sentences,
            self.tagger.vocabulary,
            self._rng,
            size=self.settings.batch_size,
            word_dropout=self.settings.word_dropout,
        ):
            loss = self.tagger.loss(batch, tags)
            loss.backward()
            self._optimizer.step()
            yield loss.item(), int(batch.lengths.sum())


def train(
    tagger: Tagger, settings: Settings, sentences: Sequence[Sentence], dev: Sequence[Sentence], seed: int
) -> History:
    """Train for as many epochs as the settings say, with a progress bar for each."""
    training = Training(tagger, settings, sentences, seed)
    history = History()
    for epoch in range(1, settings.epochs + 1):
        words, start = 0, time.perf_counter()
        with tqdm(total=training.steps_an_epoch, desc=f"epoch {epoch:2}/{settings.epochs}", unit="batch") as bar:
            for loss, count in training.epoch():
                words += count
                history.losses.append(loss)
                recent = history.losses[-training.steps_an_epoch :][-50:]
                speed = words / (time.perf_counter() - start)
                bar.set_postfix_str(f"loss {sum(recent) / len(recent):.3f}, {speed:,.0f} tokens/s", refresh=False)
                bar.update()
            history.seconds += time.perf_counter() - start
            history.dev.append(measure(tagger, dev))
            bar.set_postfix_str(f"{bar.postfix}, development {history.dev[-1]:.2%}")
    return history


def measure(tagger: Tagger, sentences: Sequence[Sentence]) -> float:
    """Return the share of words that get their tag, by a tagger that does not drop out anything."""
    tagger.eval()
    by_length = sorted(sentences, key=len)
    tagged = [tags for batch in batches(by_length, tagger.vocabulary) for tags in tagger.tag(batch)]
    return accuracy(by_length, tagged)
