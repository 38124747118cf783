"""The settings of the tagger: how large it is and how it learns."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from spago.mat import FormatError


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
    seed: int = 1  # of initial weights, order of the sentences, dropout

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> "Settings":
        """Return the settings that `texts` has under their names, as text; others are as above.

        Raises:
            FormatError: One of them is no number.
        """
        try:
            given = {f.name: type(getattr(cls(), f.name))(texts[f.name]) for f in fields(cls) if f.name in texts}
        except ValueError as error:
            raise FormatError(f"settings: expected numbers, got {dict(texts)}; train the tagger again") from error
        return cls(**given)
