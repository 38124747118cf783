"""Headers of many megabytes: read if they are sound, refused in bounded memory if not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bounds import refusal
from spago.mat import FormatError
from spago.nn import load_arrays, load_metadata, save_arrays


def a_file(path: Path, header: bytes, size: int = 0) -> Path:
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    return path


def test_a_sound_header_of_megabytes_is_read(tmp_path: Path) -> None:
    arrays = {f"layer.{i}.{'ä' * 40}": np.full((1, 2), i, np.float32) for i in range(12_000)}
    save_arrays(tmp_path / "file", arrays, {"note": 'a "quoted" \\ text { } ü' * 1000})
    assert int.from_bytes((tmp_path / "file").read_bytes()[:8], "little") > 1 << 20
    again = load_arrays(tmp_path / "file")
    assert again.keys() == arrays.keys()
    np.testing.assert_array_equal(again[f"layer.11999.{'ä' * 40}"], [[11999, 11999]])
    assert load_metadata(tmp_path / "file")["note"] == 'a "quoted" \\ text { } ü' * 1000


def _entries(count: int) -> bytes:
    body = ",".join(f'"{i:x}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(count))
    return f"{{{body}}}".encode()


MANY = 2_000_000
HOSTILE: dict[str, tuple[bytes, str]] = {
    "entries without end": (_entries(150_000), "at most 100000 arrays, got more"),
    "escaped entries without end": (
        _entries(150_000).replace(b"dtype", b"dtyp\\u0065").replace(b"offsets", b"offset\\u0073"),
        "at most 100000 arrays, got more|names and shapes that take at most",
    ),
    "entries that take memory": (_entries(99_000), "names and shapes that take at most"),
    "lists": (b'{"a":[' + b"[]," * MANY + b"[]]}", "expected dtype, shape and data_offsets for 'a'"),
    "lists in an entry": (b'{"a":{"dtype":[' + b"[]," * MANY + b"[]]}}", "dtype, shape and data_offsets for 'a'"),
    "metadata without end": (
        b'{"__metadata__":{' + b",".join(b'"%x":""' % i for i in range(300_000)) + b"}}",
        "at most 100000 lines of metadata, got more|names and shapes that take at most",
    ),
    "nested deep": (b'{"a":' * MANY, "dtype, shape and data_offsets"),
    "nested lists": (b'{"a":' + b"[" * MANY, "dtype, shape and data_offsets"),
    "numbers for names": (b"{" + b"1," * MANY + b"}", "a header in JSON, with text at byte"),
    "text without end": (b'{"' + b"a" * MANY, "a header in JSON, with text at byte"),
    "backslashes": (b'{"' + b"\\" * MANY, "a header in JSON, with text at byte"),
    "spaces": (b"{" + b" " * MANY, "a header in JSON, with text at byte"),
    "something behind": (b"{}" + b" " * MANY + b"x", "nothing behind the header, got something"),
    "a name twice": (
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
        + b" " * MANY
        + b"}",
        "each name once, got 'a'",
    ),
    "metadata that is no text": (b'{"__metadata__":{"a":1}}' + b" " * MANY, "__metadata__ that is text by name"),
    "lists as metadata": (b'{"__metadata__":{"a":[' + b"[]," * MANY, "metadata in JSON that are text by name"),
    "metadata twice": (
        b'{"__metadata__":{"a":"' + b"b" * MANY + b'","a":"b"}}',
        "each name once, got 'a' again",
    ),
    "escapes without end": (b'{"' + b"\\n" * 3 * MANY + b'":{}}', "a header in JSON, with text at byte"),
    "bad UTF-8": (b'{"\xff":{}}' + b" " * MANY, "a header in JSON and UTF-8"),
    "half a surrogate": (
        b'{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' + b" " * MANY,
        "names in Unicode",
    ),
    "a key twice in an entry": (
        b'{"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}' + b" " * MANY,
        "each name once",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_of_megabytes_is_refused_in_bounded_memory(tmp_path: Path, name: str) -> None:
    header, message = HOSTILE[name]
    path = a_file(tmp_path / "file", header)
    assert re.search(f"^{path}: .*{message}", str(refusal(load_arrays, path)))


def test_what_would_not_be_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected at most 100000 arrays and as many lines of metadata, got more"):
        save_arrays(tmp_path / "file", dict.fromkeys(map(str, range(100_001)), np.ones(1)))


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "a/../b", "..\\evil", "\\evil", ".."])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    entry: dict[str, Any] = {name: {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}
    with pytest.raises(FormatError, match="expected names that are no paths to elsewhere, got"):
        load_arrays(a_file(tmp_path / "file", json.dumps(entry).encode()))
    with pytest.raises(ValueError, match="expected names of arrays that are no paths to elsewhere, got"):
        save_arrays(tmp_path / "file", {name: np.ones(1)})


def test_a_slash_within_a_name_is_none_of_these(tmp_path: Path) -> None:
    save_arrays(tmp_path / "file", {"bert/dense/kernel:0": np.ones(1, np.float32)})
    assert list(load_arrays(tmp_path / "file")) == ["bert/dense/kernel:0"]
