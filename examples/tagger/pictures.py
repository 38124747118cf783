"""What training leaves to look at: the loss curve, and the network as a graph."""

from pathlib import Path

import numpy as np

from examples.tagger.data import make_batch
from examples.tagger.model import Tagger
from examples.tagger.training import History
from examples.tagger.treebank import Sentence
from spago import graphviz

WINDOW = 25  # steps that the curve is averaged over


def draw_history(history: History, path: Path) -> None:
    """Draw the loss of each step, its moving average, and the accuracy after each epoch."""
    import matplotlib as mpl

    mpl.use("Agg")  # a file, not a window
    from matplotlib import pyplot as plt

    losses = np.array(history.losses)
    window = min(WINDOW, len(losses))
    average = np.convolve(losses, np.full(window, 1 / window), mode="valid")
    epochs = np.arange(1, len(history.dev) + 1)
    per_epoch = len(losses) / len(epochs)

    figure, left = plt.subplots(figsize=(8, 4.5), layout="constrained")
    left.plot(np.arange(1, len(losses) + 1) / per_epoch, losses, color="tab:blue", alpha=0.25, linewidth=0.7)
    left.plot((np.arange(len(average)) + window) / per_epoch, average, color="tab:blue", label="loss of a sentence")
    left.set(xlabel="epoch", ylabel="negative log-likelihood of a sentence", xlim=(0, len(epochs)), ylim=(0, None))
    right = left.twinx()
    right.plot(epochs, 100 * np.array(history.dev), "o-", color="tab:orange", label="development accuracy")
    right.set_ylabel("development accuracy, %")
    lines = [*left.get_lines()[1:], *right.get_lines()]
    left.legend(lines, [str(line.get_label()) for line in lines], loc="center right")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_network(tagger: Tagger, sentence: Sentence, path: Path) -> None:
    """Write the graph of the loss of one sentence, as in training, in the DOT language."""
    tagger.train()
    tags = np.array([[tagger.vocabulary.tag_ids[tag] for tag in sentence.tags]])
    loss = tagger.loss(make_batch([sentence.words], tagger.vocabulary), tags)
    path.write_text(graphviz.to_dot(loss, names=tagger), encoding="utf-8")
