"""The settings of the tagger: how large it is and how it learns."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """All that can be set; what stands here gave the figures in the README."""

    word_size: int = 64
    character_size: int = 32
    character_hidden_size: int = 48  # in each direction
    word_hidden_size: int = 128  # in each direction
    dropout: float = 0.5  # before and after the word-level LSTM
    word_dropout: float = 0.5  # words seen once that are shown as unknown
    epochs: int = 8
    batch_size: int = 32
    learning_rate: float = 0.01  # at the first step; from there it falls in a straight line to 0 after the last
    max_norm: float = 5.0  # of the gradient of all parameters together
    word_embedding_std: float = 0.1  # of the normal distribution that the word vectors are drawn from
