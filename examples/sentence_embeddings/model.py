"""The sentence encoder all-MiniLM-L6-v2, a BERT of six layers, made of public parts of spago.nn.

Source: J. Devlin et al. (2019), "BERT", arXiv:1810.04805; W. Wang et al. (2020), "MiniLM", arXiv:2002.10957;
N. Reimers, I. Gurevych (2019), "Sentence-BERT", arXiv:1908.10084, for the mean as the vector of a sentence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spago import ag, nn
from spago.mat import Array


class SentenceEncoder(nn.Module):
    """From the tokens of sentences to vectors of length 1, whose products say how alike the sentences are.

        x_t = norm(words[token_t] + positions[t] + types[0])
        x = encoder(x), six layers
        y = m / |m|,  m = the mean of x_t over the tokens of the sentence

    Args:
        config: The sizes, as in the model's config.json.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        size, eps, rng = config["hidden_size"], config["layer_norm_eps"], nn.NoDraw()
        self.words = nn.Embedding(config["vocab_size"], size, rng=rng)
        self.positions = nn.LearnedPositions(config["max_position_embeddings"], size, rng=rng)
        self.types = nn.Embedding(config["type_vocab_size"], size, rng=rng)
        self.norm = nn.LayerNorm(size, eps=eps)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                size, config["num_attention_heads"], config["intermediate_size"], activation=ag.gelu, eps=eps, rng=rng
            )
            for _ in range(config["num_hidden_layers"])
        )
        self.unit = nn.FixNorm()

    def forward(self, tokens: npt.NDArray[np.intp], lengths: npt.NDArray[np.intp]) -> ag.Node:
        """Return vectors (B, E) for padded tokens (B, T), the first lengths[i] of which are those of sentence i."""
        x = self.norm(self.positions(self.words(tokens)) + self.types.weight[0])
        x = self.encoder(x, lengths=lengths)
        share = (np.arange(tokens.shape[1]) < lengths[:, None]) / lengths[:, None]
        mean = ag.squeeze(np.asarray(share[:, None], x.dtype) @ x, axis=1)
        y: ag.Node = self.unit(mean)
        return y


def read_encoder(folder: Path) -> SentenceEncoder:
    """Make the encoder with the weights in a folder, of which nothing is read before it is used."""
    model = SentenceEncoder(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    arrays = nn.load_arrays(folder / "model.safetensors", memory_map=True)
    state = {name: _find(arrays, name) for name, _ in model.named_parameters()}
    matches, _ = model.match_state({name: array.shape for name, array in state.items()})
    for name, parameter in matches:
        parameter.value = state[name]
    return model.eval()


EMBEDDINGS = {
    "words.weight": "embeddings.word_embeddings.weight",
    "positions.weight": "embeddings.position_embeddings.weight",
    "types.weight": "embeddings.token_type_embeddings.weight",
    "norm.weight": "embeddings.LayerNorm.weight",
    "norm.bias": "embeddings.LayerNorm.bias",
}

LAYER = {
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}
"""Our names and BERT's."""


def _find(arrays: dict[str, npt.NDArray[Any]], name: str) -> Array:
    """Return the weights that BERT has under another name, or in three parts."""
    if name in EMBEDDINGS:
        return arrays[EMBEDDINGS[name]]
    _, _, number, path = name.split(".", 3)
    prefix = f"encoder.layer.{number}"
    if path.startswith("self_attn.in_proj_"):
        kind = path.removeprefix("self_attn.in_proj_")
        return np.concatenate([arrays[f"{prefix}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")])
    part, _, kind = path.rpartition(".")
    return arrays[f"{prefix}.{LAYER[part]}.{kind}"]
