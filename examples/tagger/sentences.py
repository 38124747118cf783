"""From a line of text to the words that the tagger reads, and from tags to a line to look at."""

import re
import unicodedata
from collections.abc import Sequence

# Punctuation at the ends of what spaces separate stands alone; inside it belongs to the word: Türkiye'de, 4.3.3.
_TOKEN = re.compile(r"\.{3}|--|``|''|:[()]|[^\w\s]|\w(?:\S*\w)?")


def words_of(text: str) -> list[str]:
    """Return the words and punctuation marks of a sentence.

    Raises:
        ValueError: There are none.

    >>> words_of("Türkiye'de kaç il var?")
    ["Türkiye'de", 'kaç', 'il', 'var', '?']
    """
    words = _TOKEN.findall(unicodedata.normalize("NFC", text))
    if not words:
        raise ValueError(f'tag: expected a sentence of at least one word, got {text!r}; write it in quotes: tag "…"')
    return words


def side_by_side(words: Sequence[str], tags: Sequence[str]) -> str:
    """Return the words with their tags below them."""
    widths = [max(len(word), len(tag)) for word, tag in zip(words, tags, strict=True)]
    rows = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (words, tags)
    ]
    return "\n".join(rows)
