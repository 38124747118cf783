"""The layers of a Transformer one above the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.nn._containers import ModuleList
from spago.nn._key_value_cache import KeyValueCache
from spago.nn._masks import as_sequences_of
from spago.nn._module import Module
from spago.nn._transformer import DecoderCache, TransformerDecoderLayer, TransformerEncoderLayer


class TransformerEncoder(Module):
    """Layers of a Transformer's encoder, one above the other.

        xs_k = layer_k(xs_(k-1))
        ys = norm(xs_n)

    PyTorch's layer takes one layer and copies it, so that all have the same weights at first; here each is its own.

    Shapes:
        xs, ys: (T, E) or (B, T, E)
        layers.0, layers.1, …: a `TransformerEncoderLayer` of size E each
        norm: such as a `LayerNorm` of size E, which layers with norm_first need at the end; or None

    Source:
        A. Vaswani et al. (2017), "Attention Is All You Need", arXiv:1706.03762, section 3.1.

    Args:
        layers: From the lowest to the highest.
        norm: What is done to the result of the last layer.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> layers = [nn.TransformerEncoderLayer(8, 2, 16, norm_first=True) for _ in range(3)]
        >>> encoder = nn.TransformerEncoder(layers, norm=nn.LayerNorm(8))
        >>> encoder(np.ones((2, 5, 8), np.float32), lengths=[5, 3]).shape
        (2, 5, 8)
    """

    def __init__(self, layers: Iterable[TransformerEncoderLayer], *, norm: Module | None = None) -> None:
        self.layers = ModuleList(layers)
        self.norm = norm
        _check_layers(self)

    def cache(self) -> list[KeyValueCache]:
        """Return an empty cache for each layer, for reading step by step."""
        return [KeyValueCache() for _ in self.layers]

    def forward(
        self,
        xs: Operand,
        *,
        mask: npt.ArrayLike | Node | None = None,
        lengths: npt.ArrayLike | None = None,
        key_mask: npt.ArrayLike | None = None,
        causal: bool = False,
        cache: Sequence[KeyValueCache] | None = None,
    ) -> Node:
        """Return ys; the equations are in the class, the arguments in `TransformerEncoderLayer`.

        Args:
            xs: Shape (T, E) or (B, T, E).
            mask: As in `TransformerEncoderLayer`, for all layers; likewise the next three.
            lengths: The numbers of real steps, shape (B,).
            key_mask: Which steps are real, shape (B, T) or (T,).
            causal: Whether a step sees only those up to its own.
            cache: What earlier steps left, from `cache()`; filled.
        """
        x = as_sequences_of(xs, _size(self), "TransformerEncoder", "xs", "embed_dim")
        settings: Any = {"mask": mask, "lengths": lengths, "key_mask": key_mask, "causal": causal}
        for layer, own in zip(self.layers, _caches(self, cache), strict=True):
            x = layer(x, **settings, cache=own)
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """Layers of a Transformer's decoder, one above the other, all with the same memory.

        xs_k = layer_k(xs_(k-1), memory)
        ys = norm(xs_n)

    PyTorch's layer takes one layer and copies it, so that all have the same weights at first; here each is its own.

    Shapes:
        xs, ys: (T, E) or (B, T, E)
        memory: (S, E) or (B, S, E)
        layers.0, layers.1, …: a `TransformerDecoderLayer` of size E each
        norm: such as a `LayerNorm` of size E, which layers with norm_first need at the end; or None

    Source:
        A. Vaswani et al. (2017), "Attention Is All You Need", arXiv:1706.03762, section 3.1.

    Args:
        layers: From the lowest to the highest.
        norm: What is done to the result of the last layer.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> decoder = nn.TransformerDecoder([nn.TransformerDecoderLayer(8, 2, 16) for _ in range(3)]).eval()
        >>> xs, memory, cache = np.eye(3, 8), np.ones((4, 8)), decoder.cache()
        >>> steps = [decoder(x[None], memory, cache=cache).value[0] for x in xs]
        >>> np.allclose(steps, decoder(xs, memory, causal=True).value)
        True
    """

    def __init__(self, layers: Iterable[TransformerDecoderLayer], *, norm: Module | None = None) -> None:
        self.layers = ModuleList(layers)
        self.norm = norm
        _check_layers(self)

    def cache(self) -> list[DecoderCache]:
        """Return an empty cache for each layer, for decoding step by step."""
        return [TransformerDecoderLayer.cache() for _ in self.layers]

    def forward(
        self,
        xs: Operand,
        memory: Operand,
        *,
        mask: npt.ArrayLike | Node | None = None,
        lengths: npt.ArrayLike | None = None,
        causal: bool = False,
        memory_mask: npt.ArrayLike | Node | None = None,
        memory_lengths: npt.ArrayLike | None = None,
        cache: Sequence[DecoderCache] | None = None,
    ) -> Node:
        """Return ys; the equations are in the class.

        Args:
            xs: Shape (T, E) or (B, T, E).
            memory: The encoder's results, shape (S, E) or (B, S, E).
            mask: As in `TransformerDecoderLayer`, for all layers; likewise the next four.
            lengths: The numbers of real steps of xs, shape (B,).
            causal: Whether a step sees only those up to its own.
            memory_mask: What xs may see of memory.
            memory_lengths: The numbers of real steps of memory, shape (B,).
            cache: What earlier steps left, from `cache()`; filled.
        """
        x = as_sequences_of(xs, _size(self), "TransformerDecoder", "xs", "embed_dim")
        memory = memory if isinstance(memory, Node) else ag.var(memory)
        settings: Any = {"mask": mask, "lengths": lengths, "causal": causal}
        settings |= {"memory_mask": memory_mask, "memory_lengths": memory_lengths}
        for layer, own in zip(self.layers, _caches(self, cache), strict=True):
            x = layer(x, memory, **settings, cache=own)
        return x if self.norm is None else self.norm(x)


Stack = TransformerEncoder | TransformerDecoder


def _size(stack: Stack) -> int:
    size: int = stack.layers[0].self_attn.embed_dim
    return size


def _check_layers(stack: Stack) -> None:
    """Check that there are layers, and that they are of one size.

    Raises:
        ShapeError: Names the stack and the sizes.
    """
    name, sizes = type(stack).__name__, [layer.self_attn.embed_dim for layer in stack.layers]
    if not sizes:
        raise ShapeError(f"{name}: expected at least one layer, got none")
    if len(set(sizes)) > 1:
        raise ShapeError(f"{name}: expected layers of one size, got {', '.join(map(str, sizes))}")


def _caches(stack: Stack, cache: Sequence[Any] | None) -> Sequence[Any]:
    """Return a cache for each layer, or None for each.

    Raises:
        ShapeError: There are more or fewer than layers.
    """
    if cache is None:
        return [None] * len(stack.layers)
    if len(cache) != len(stack.layers):
        raise ShapeError(
            f"{type(stack).__name__}: expected {len(stack.layers)} caches, one a layer, got {len(cache)}; "
            "make them by its method cache"
        )
    return cache
