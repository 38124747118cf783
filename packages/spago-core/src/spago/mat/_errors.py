"""Exceptions that callers may want to catch."""


class ShapeError(ValueError):
    """Arrays whose shapes do not fit each other or the operation; the message names the shapes."""


class FormatError(ValueError):
    """Bytes, text or a file that is damaged, truncated, hostile or of another format."""
