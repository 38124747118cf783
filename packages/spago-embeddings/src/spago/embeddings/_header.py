"""What is kept about a store beside its records: how many they are, its attributes, and what its content is called."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from spago.embeddings._store import Attributes, DamagedStoreError, name_bytes

FORMAT = 1


@dataclass(frozen=True)
class Fields:
    """What the database has of a header.

    Attributes:
        count: The records of the store.
        attributes: What was noted.
        revision: A text drawn for the last batch: no other content of any store has it. Empty when there is no store.
    """

    count: int = 0
    attributes: Attributes = field(default_factory=dict[str, int | str])
    revision: str = ""

    def pack(self) -> bytes:
        """Return the bytes to keep."""
        return pack({"format": FORMAT, **vars(self), "attributes": dict(self.attributes)})


class Header:
    """What is known about one store; changed only while writing.

    Attributes:
        name: The bytes of its name.
        version: Rises by one with every write.
        fields: What the database has.
    """

    def __init__(self, name: str) -> None:
        self.name = name_bytes(name)
        self.version: int = 0
        self.fields = Fields()

    @property
    def written(self) -> bool:
        """Whether the database has the store."""
        return bool(self.fields.revision)

    def take_over(self, content: bytes | None, path: Path) -> None:
        """Take over what the database has, None where there is no store."""
        if content is None:
            self.fields = Fields()
        else:
            known = unpack(content, path)
            self.fields = Fields(known["count"], known["attributes"], known.get("revision", "0"))

    def after(self, more: int, attributes: Attributes | None = None) -> Fields:
        """Return what the fields are after a batch that adds so many records."""
        noted = self.fields.attributes if attributes is None else dict(attributes)
        return Fields(self.fields.count + more, noted, secrets.token_hex(8))


def pack(fields: dict[str, Any]) -> bytes:
    """Return bytes with a checksum: a CRC-32, then JSON."""
    content = json.dumps(fields, sort_keys=True).encode()
    return crc32(content).to_bytes(4, "little") + content


def unpack(content: bytes, path: Path) -> dict[str, Any]:
    """Return what was packed; DamagedStoreError when it is damaged."""
    if crc32(content[4:]).to_bytes(4, "little") != content[:4]:
        raise DamagedStoreError(f"{path}: expected a header whose checksum is right, got a wrong one; repair the store")
    fields: dict[str, Any] = json.loads(content[4:])
    if fields["format"] != FORMAT:
        raise DamagedStoreError(
            f"{path}: expected a store of format {FORMAT}, got {fields['format']}; was it written by a newer release?"
        )
    return fields
