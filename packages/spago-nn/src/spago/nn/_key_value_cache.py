"""What attention remembers from one step of decoding to the next."""

from __future__ import annotations

from spago import ag
from spago.ag import Node, ShapeError


class KeyValueCache:
    """The projected keys and values of what attention has seen so far.

    A layer that is given a cache fills it: with the keys and values of each call, one after the other, if it grows;
    with those of the first call, which then serve all later ones, if it does not. The first is for self-attention, the
    second for attention to a sequence that stays the same. Gradients flow through what it holds.

    Args:
        grows: Whether later calls add to it.

    Attributes:
        grows: As given.
        keys: Shape (..., M, E), or None at first.
        values: Shape (..., M, E), or None at first.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> attention, cache = nn.MultiheadAttention(4, 2), nn.KeyValueCache()
        >>> xs = np.ones((3, 4), np.float32)
        >>> ys = [attention(x[None], causal=True, cache=cache) for x in xs]
        >>> len(cache)
        3
    """

    def __init__(self, *, grows: bool = True) -> None:
        self.grows = grows
        self.keys: Node | None = None
        self.values: Node | None = None

    def __len__(self) -> int:
        return 0 if self.keys is None else self.keys.shape[-2]

    @property
    def complete(self) -> bool:
        """Whether what it holds is all there will be."""
        return not self.grows and self.keys is not None

    def extend(self, keys: Node, values: Node) -> None:
        """Add keys and values at the end.

        Raises:
            ShapeError: When they are not of the shape of those before, save for their number.
        """
        if self.keys is None or self.values is None:
            self.keys, self.values = keys, values
            return
        for old, new in ((self.keys, keys), (self.values, values)):
            if old.shape[:-2] != new.shape[:-2] or old.shape[-1] != new.shape[-1]:
                raise ShapeError(f"KeyValueCache: expected shape {_any_length(old)} as before, got {new.shape}")
        self.keys = ag.concat([self.keys, keys], axis=-2)
        self.values = ag.concat([self.values, values], axis=-2)

    def filled(self) -> tuple[Node, Node]:
        """Return keys and values, of which there must be some."""
        assert self.keys is not None
        assert self.values is not None
        return self.keys, self.values

    def __repr__(self) -> str:
        held = "empty" if self.keys is None else f"keys {self.keys.shape}"
        return f"<KeyValueCache {held}{'' if self.grows else ', fixed'}>"


def _any_length(x: Node) -> str:
    return f"({', '.join([*map(str, x.shape[:-2]), '*', str(x.shape[-1])])})"
