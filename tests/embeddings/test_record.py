"""The bytes of a record."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spago.embeddings import DamagedRecordError
from spago.embeddings._record import decode, encode
from spago.mat import FormatError, ShapeError

VALUES = np.array([[1, -2], [3, 4]], np.float32)
STATE = {"m": np.array([[5, 6], [7, 8]], np.float32), "v": np.array([[9, 10], [11, 12]], np.float32)}


def test_the_bytes_are_those_of_the_format() -> None:
    (record,) = encode([b"ev"], VALUES[:1], "Adam", {"m": STATE["m"][:1]})
    body = (
        b"\x01\x00\x01\x00"  # format, dtype, arrays
        b"\x02\x00\x00\x00\x08\x00\x00\x00"  # D, length of the text
        b"Adam\x00m\x00\x00"
        b"\x00\x00\x80?\x00\x00\x00\xc0\x00\x00\xa0@\x00\x00\xc0@"
    )
    assert record == body + crc32(b"ev" + body).to_bytes(4, "little")


@settings(max_examples=60, deadline=None)
@given(
    keys=st.lists(st.binary(max_size=6), max_size=9, unique=True),
    size=st.integers(1, 9),
    names=st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1), max_size=3, unique=True),
    double=st.booleans(),
    seed=st.integers(0, 99),
)
def test_decoding_undoes_encoding(keys: list[bytes], size: int, names: list[str], double: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dtype = np.dtype(np.float64 if double else np.float32)
    values, *arrays = rng.normal(size=(1 + len(names), len(keys), size)).astype(dtype)
    groups = decode(keys, encode(keys, values, "Adam", dict(zip(names, arrays, strict=True))))
    assert len(groups) == bool(keys)
    for group in groups:
        assert group.layout.label == "Adam"
        assert group.values.dtype == dtype
        np.testing.assert_array_equal(group.values, values)
        assert list(group.arrays) == names
        for name, array in zip(names, arrays, strict=True):
            np.testing.assert_array_equal(group.arrays[name], array)


def test_any_order_in_memory_gives_the_same_bytes() -> None:
    wide = np.arange(12, dtype=np.float32).reshape(2, 6)
    expected = encode([b"a", b"b"], wide[:, ::2].copy())
    assert encode([b"a", b"b"], wide[:, ::2]) == expected
    assert encode([b"a", b"b"], np.asfortranarray(wide[:, ::2])) == expected
    assert encode([b"a", b"b"], wide[:, ::2].astype(">f4")) == expected


def test_records_of_several_layouts_are_told_apart() -> None:
    keys = [b"a", b"b", b"c"]
    plain = encode([b"a", b"c"], VALUES)
    (trained,) = encode([b"b"], VALUES[:1], "Adam", {"m": STATE["m"][:1]})
    groups = decode(keys, [plain[0], trained, plain[1]])
    assert [group.layout.label for group in groups] == ["", "Adam"]
    assert [group.positions.tolist() for group in groups] == [[0, 2], [1]]
    np.testing.assert_array_equal(groups[0].values, VALUES)
    np.testing.assert_array_equal(groups[1].arrays["m"], [[5, 6]])


def test_not_a_number_survives_bit_by_bit() -> None:
    values = np.array([[np.nan, -np.inf, -0.0, 1e-45]], np.float32)
    (group,) = decode([b"a"], encode([b"a"], values))
    assert group.values.tobytes() == values.tobytes()


def test_every_flipped_bit_is_noticed() -> None:
    keys = [b"ev", b"at"]
    records = encode(keys, VALUES, "Adam", STATE)
    for bit in range(8 * len(records[1])):
        damaged = bytearray(records[1])
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedRecordError) as caught:
            decode(keys, [records[0], bytes(damaged)])
        assert caught.value.key == b"at"


def test_every_truncation_is_noticed() -> None:
    (record,) = encode([b"ev"], VALUES[:1])
    for length in range(len(record)):
        with pytest.raises(DamagedRecordError, match=r"words: key b'ev': expected a record whose checksum is right"):
            decode([b"ev"], [record[:length]], "words")


def test_a_record_under_another_key_is_noticed() -> None:
    records = encode([b"ev", b"at"], VALUES)
    with pytest.raises(DamagedRecordError, match=r"key b'ev': expected a record whose checksum .*write it again"):
        decode([b"ev", b"at"], records[::-1])


def sealed(body: bytes) -> bytes:
    return body + crc32(b"ev" + body).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        (sealed(b"\x02\x00\x00\x00" + bytes(8)), "expected format 1 and dtype 0 or 1, got 2 and 0; .*newer release"),
        (sealed(b"\x01\x07\x00\x00" + bytes(8)), "expected format 1 and dtype 0 or 1, got 1 and 7"),
        (sealed(b""), "expected at least 12 bytes"),
        (sealed(b"\x01\x00\x00\x00\x02\x00\x00\x00" + bytes(4)), "expected a record of 24 bytes, got 16"),
        (sealed(b"\x01\x00\x02\x00\x02\x00\x00\x00\x04\x00\x00\x00abcd"), "expected a label and 2 names"),
        (sealed(b"\x01\x00\x00\x00\x02\x00\x00\x00\x04\x00\x00\x00\xff\xff\xff\xff"), "expected text in UTF-8"),
        (sealed(b"\x01\x00\x00\x00\x02\x00\x00\x00\xff\xff\xff\xff"), "expected a header of"),
    ],
)
def test_hostile_records_with_right_checksums_are_refused(record: bytes, fault: str) -> None:
    with pytest.raises(FormatError, match=fault):
        decode([b"ev"], [record])


def test_shapes_and_dtypes_are_checked() -> None:
    with pytest.raises(ShapeError, match=r"record: expected values of shape \(1, D\), one row a key, got \(2, 2\)"):
        encode([b"a"], VALUES)
    with pytest.raises(ShapeError, match=r"record: expected state 'm' of shape \(2, 2\), got \(1, 2\)"):
        encode([b"a", b"b"], VALUES, "Adam", {"m": STATE["m"][:1]})
    with pytest.raises(TypeError, match=r"record: expected state 'm' of float32, got float64"):
        encode([b"a", b"b"], VALUES, "Adam", {"m": VALUES.astype(np.float64)})
    with pytest.raises(TypeError, match=r"record: expected values of float32 or float64, got int64"):
        encode([b"a"], np.asarray([[1, 2]]))
    with pytest.raises(ValueError, match=r"record: expected a label and names without NUL for state"):
        encode([b"a", b"b"], VALUES, "", STATE)
