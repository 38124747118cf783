"""Zip archives whose entries are stored as they are, as PyTorch writes them.

The library's reader is not used: it takes 600 bytes for an entry of 46, unpacks what is compressed to any size, and
raises half a dozen exceptions.

Source: PKWARE, "APPNOTE.TXT, .ZIP File Format Specification", sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import os
import struct
import zlib
from io import BufferedReader
from typing import NamedTuple, NoReturn

from spago.mat import FormatError
from spago.nn._safetensors import leads_elsewhere

MAX_ENTRIES = 100_000

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX_DIRECTORY = 1 << 26
_PIECE = 1 << 20


class Stored(NamedTuple):
    """Where the bytes of an entry are in the file, and their CRC-32."""

    start: int
    size: int
    crc: int | None

    def read_into(self, target: memoryview, file: BufferedReader, what: str) -> None:
        """Fill memory with the bytes, checking them as they come.

        Raises:
            FormatError: They are not those that were written.
        """
        file.seek(self.start)
        crc = 0
        for start in range(0, self.size, _PIECE):
            piece = target[start : start + _PIECE]
            if file.readinto(piece) != len(piece):
                raise FormatError(f"{what}: expected {self.size} bytes, got fewer; the file was cut while it was read")
            crc = zlib.crc32(piece, crc)
        if self.crc not in (crc, None):
            raise FormatError(f"{what}: expected bytes of CRC-32 {self.crc:08x}, got {crc:08x}; they were changed")


def read_directory(file: BufferedReader, path: str) -> dict[str, Stored]:
    """Return the entries of a zip archive by name.

    Raises:
        FormatError: The archive is damaged, or an entry is compressed or encrypted, or two share bytes or a name.
    """
    return _Archive(file, path).entries()


class _Archive:
    def __init__(self, file: BufferedReader, path: str) -> None:
        self.file = file
        self.path = path
        self.size = os.fstat(file.fileno()).st_size

    def refuse(self, expected: str, got: str) -> NoReturn:
        raise FormatError(f"{self.path}: expected {expected}, got {got}")

    def read(self, start: int, size: int, what: str) -> bytes:
        if start < 0 or size > self.size - start:
            self.refuse(f"{what} of {size} bytes at byte {start}", f"a file of {self.size}")
        self.file.seek(start)
        data = self.file.read(size)
        if len(data) != size:
            self.refuse(f"{what} of {size} bytes", f"{len(data)}; the file was cut while it was read")
        return data

    def directory(self) -> tuple[int, int, int]:
        """Where the list of entries begins, how many bytes it has, and how many entries."""
        tail_start = max(0, self.size - _END.size - 0xFFFF)
        tail = self.read(tail_start, self.size - tail_start, "an archive")
        at = tail.rfind(b"PK\5\6")
        if at < 0 or at + _END.size > len(tail):
            self.refuse("the end of a zip archive", "none; is it a file of PyTorch 1.6 or later, and complete?")
        _, _, _, _, count, size, start, _ = _END.unpack_from(tail, at)
        if 0xFFFF in (count,) or 0xFFFFFFFF in (size, start):
            locator = self.read(tail_start + at - _LOCATOR.size, _LOCATOR.size, "a locator")
            mark, _, end, _ = _LOCATOR.unpack(locator)
            record = self.read(end, _END_64.size, "the end of a large archive")
            if mark != b"PK\6\7" or not record.startswith(b"PK\6\6"):
                self.refuse("the end of a large archive", "none")
            *_, count, size, start = _END_64.unpack(record)
        return start, size, count

    def entries(self) -> dict[str, Stored]:
        start, size, count = self.directory()
        if count > MAX_ENTRIES or size > _MAX_DIRECTORY:
            self.refuse(f"at most {MAX_ENTRIES} entries", f"{count} in {size} bytes")
        listed = self.read(start, size, "a list of entries")
        entries: dict[str, Stored] = {}
        position = 0
        for _ in range(count):
            if position + _CENTRAL.size > len(listed) or not listed.startswith(b"PK\1\2", position):
                self.refuse(f"{count} entries in the list", f"{len(entries)}")
            name, entry, position = self.entry(listed, position, start)
            if leads_elsewhere(name):
                self.refuse("entries whose names are no paths to elsewhere", f"{name[:80]!r}")
            if name in entries:
                self.refuse("each entry once", f"{name!r} again")
            entries[name] = entry
        if not any(entry.crc for entry in entries.values()):
            # As PyTorch has it after `set_crc32_options(False)`.
            entries = {name: entry._replace(crc=None) for name, entry in entries.items()}
        end = 0
        for name, entry in sorted(entries.items(), key=lambda item: item[1].start):
            if entry.start < end:
                self.refuse("entries that share no bytes", f"{name!r} inside another")
            end = entry.start + entry.size
        return entries

    def entry(self, listed: bytes, position: int, end: int) -> tuple[str, Stored, int]:
        """The entry of the list at position, and where the next one begins."""
        header = _CENTRAL.unpack_from(listed, position)
        flags, method, packed, size = header[3], header[4], header[8], header[9]
        name_size, extra_size, comment_size, offset = header[10], header[11], header[12], header[16]
        names_at = position + _CENTRAL.size
        raw = listed[names_at : names_at + name_size]
        name = raw.decode("utf-8", "replace")
        extra = listed[names_at + name_size : names_at + name_size + extra_size]
        size, packed, offset = self.large(extra, [size, packed, offset], name)
        if method or flags & 1 or packed != size:
            self.refuse(f"{name!r} to be stored as it is", "it compressed or encrypted")
        local = self.read(offset, _LOCAL.size, f"{name!r}")
        *_, local_name, local_extra = _LOCAL.unpack(local)
        start = offset + _LOCAL.size + local_name + local_extra
        if not local.startswith(b"PK\3\4") or self.read(offset + _LOCAL.size, local_name, "a name") != raw:
            self.refuse(f"{name!r} at byte {offset}", "something else")
        if start + size > end:
            self.refuse(f"{size} bytes for {name!r}", f"{max(end - start, 0)} before the list of entries")
        return name, Stored(start, size, header[7]), names_at + name_size + extra_size + comment_size

    def large(self, extra: bytes, numbers: list[int], name: str) -> list[int]:
        """Put the numbers of 64 bits in place of those that 32 cannot hold."""
        wanted = [k for k, number in enumerate(numbers) if number == 0xFFFFFFFF]
        position = 0
        while wanted:
            if position + 4 > len(extra):
                self.refuse(f"the sizes of {name!r}", "none")
            kind, length = struct.unpack_from("<2H", extra, position)
            if kind == 1 and 8 * len(wanted) <= min(length, len(extra) - position - 4):
                values = struct.unpack_from(f"<{len(wanted)}Q", extra, position + 4)
                for k, value in zip(wanted, values, strict=True):
                    numbers[k] = value
                return numbers
            position += 4 + length
        return numbers
