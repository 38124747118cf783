"""What a word may be, and the bytes it is stored under."""

from __future__ import annotations

from typing import TypeAlias

Word: TypeAlias = str | bytes | int
"""What embeddings are looked up by. Words of different types with the same bytes are the same word."""


def key_of(word: Word) -> bytes:
    r"""Return the key of a word: UTF-8 of text, bytes as they are, 8 bytes little-endian of an integer.

    Raises:
        TypeError: For another type.
        ValueError: For text that has no UTF-8, and integers of more than 64 bits.

    Examples:
        >>> key_of("ev"), key_of(b"ev"), key_of(258)
        (b'ev', b'ev', b'\x02\x01\x00\x00\x00\x00\x00\x00')
    """
    if isinstance(word, str):
        return word.encode()
    if isinstance(word, bytes):
        return word
    try:
        return word.__index__().to_bytes(8, "little", signed=True)
    except AttributeError:
        raise TypeError(f"embeddings: expected a word of str, bytes or int, got {type(word).__name__}") from None
    except OverflowError:
        raise ValueError(f"embeddings: expected an integer of at most 64 bits, got {word}; use its text") from None


def name_of(word: Word) -> str:
    """Return what a word is called in messages and pictures: text itself, bytes in hexadecimal, integers in decimal."""
    return word.hex().upper() if isinstance(word, bytes) else str(word)
