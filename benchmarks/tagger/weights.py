"""The weights that both sides start from, under the names that the parameters of our model have."""

import numpy as np

from benchmarks.tagger.twin import Weights
from examples.tagger.data import Vocabulary
from examples.tagger.settings import Settings
from spago.mat import Array
from spago.mat.rand import LockedRand


def initial_weights(vocabulary: Vocabulary, settings: Settings, seed: int) -> Weights:
    """Draw matrices from the Xavier-uniform distribution and embeddings from a normal one; all else is 0.

    The rows of `word_embedding` are those of UNKNOWN and of the words of the vocabulary, in its order.
    """
    rng = LockedRand(seed)
    s, K = settings, len(vocabulary.tags)

    def xavier(rows: int, columns: int) -> Array:
        bound = (6 / (rows + columns)) ** 0.5
        return rng.uniform((rows, columns), -bound, bound, np.float32)

    def normal(rows: int, columns: int, std: float) -> Array:
        return rng.normal((rows, columns), std=std, dtype=np.float32)

    weights = {
        "word_embedding": normal(1 + len(vocabulary.words), s.word_size, s.word_embedding_std),
        "character_embedding.weight": normal(1 + len(vocabulary.characters), s.character_size, 1.0),
    }
    for name, D, H in (
        ("character_lstm", s.character_size, s.character_hidden_size),
        ("word_lstm", s.word_size + 2 * s.character_hidden_size, s.word_hidden_size),
    ):
        for direction in ("forward_layer", "backward_layer"):
            weights[f"{name}.{direction}.weight_ih"] = xavier(4 * H, D)
            weights[f"{name}.{direction}.weight_hh"] = xavier(4 * H, H)
            weights[f"{name}.{direction}.bias"] = np.zeros(4 * H, np.float32)
    weights["linear.weight"] = xavier(K, 2 * s.word_hidden_size)
    weights["linear.bias"] = np.zeros(K, np.float32)
    weights["crf.transitions"] = np.zeros((K, K), np.float32)
    weights["crf.start_transitions"] = np.zeros(K, np.float32)
    weights["crf.end_transitions"] = np.zeros(K, np.float32)
    return weights
