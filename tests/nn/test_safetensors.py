"""The safetensors reader and writer: round trips, the library as a second opinion, damaged and hostile files."""

from __future__ import annotations

import json
import os
import random
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bounds import refusal
from spago.mat import FormatError
from spago.nn import load_arrays, load_metadata, save_arrays

Arrays = dict[str, npt.NDArray[Any]]

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]


def a_file(folder: Path, header: Any, data: bytes = b"", *, length: int | None = None) -> Path:
    """Write a file by hand; header is an object, or its bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "file.safetensors"
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def entry(dtype: Any = "F32", shape: Any = (), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def assert_equal(actual: Arrays, expected: Arrays) -> None:
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].shape == array.shape
        np.testing.assert_array_equal(actual[name], array)


def arrays_of_all_dtypes() -> Arrays:
    rng = np.random.default_rng(1)
    return {dtype: (rng.normal(size=(2, 3)) * 3).astype(dtype) for dtype in DTYPES}


def arrays_of_all_layouts() -> Arrays:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    return {
        "fortran": np.asfortranarray(x),
        "transposed": x.transpose(2, 0, 1),
        "strided": x[:, ::2, ::-1],
        "broadcast": np.broadcast_to(x[0], (5, 3, 4)),
        "empty": x[:, :0],
        "scalar": np.array(2.5),
        "big endian": x.astype(">f4"),
        "a/b": x[0],
        "": x[1],
        "türkçe 🙂": np.array([True, False]),
    }


@pytest.mark.parametrize("memory_map", [False, True])
@pytest.mark.parametrize(
    "arrays", [arrays_of_all_dtypes(), arrays_of_all_layouts(), {}], ids=["dtypes", "layouts", "none"]
)
def test_what_is_saved_is_loaded(tmp_path: Path, arrays: Arrays, memory_map: bool) -> None:
    save_arrays(tmp_path / "file", arrays, {"note": "ünïcode\n"})
    loaded = load_arrays(tmp_path / "file", memory_map=memory_map)
    assert_equal(loaded, arrays)
    for name, array in loaded.items():
        expected = np.float32 if arrays[name].dtype == np.float16 else arrays[name].dtype.newbyteorder("=")
        assert array.dtype == expected
        assert array.flags.aligned
        assert array.flags.c_contiguous
    assert load_metadata(tmp_path / "file") == {"note": "ünïcode\n"}


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(lambda name: not {*name} & {*"/\\."}),
        st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))),
        max_size=4,
    )
)
def test_load_undoes_save(arrays: Arrays) -> None:
    path = Path(os.environ["SPAGO_TEST_FOLDER"]) / "file"
    save_arrays(path, arrays)
    assert_equal(load_arrays(path), arrays)


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder for tests whose body runs many times, which hypothesis allows no fixture of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPAGO_TEST_FOLDER", str(tmp_path_factory.mktemp("safetensors")))
        yield


def test_the_library_reads_what_we_write(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    arrays = arrays_of_all_dtypes() | arrays_of_all_layouts()
    save_arrays(tmp_path / "file", arrays, {"note": "x"})
    assert_equal(library.load_file(tmp_path / "file"), arrays)


def test_we_read_what_the_library_writes(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    arrays = {name: np.array(x, order="C") for name, x in arrays_of_all_dtypes().items()}
    library.save_file(arrays, tmp_path / "file", {"note": "x"})
    assert_equal(load_arrays(tmp_path / "file"), arrays)
    assert load_metadata(tmp_path / "file") == {"note": "x"}


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path) -> None:
    expected = np.array([1.0, -2.5, np.inf, 0.0, 1e-38], np.float32).view(np.uint32) & 0xFFFF0000
    path = a_file(tmp_path, {"x": entry("BF16", [5], [0, 10])}, (expected >> 16).astype("<u2").tobytes())
    np.testing.assert_array_equal(load_arrays(path)["x"], expected.view(np.float32))


def test_a_byte_that_is_no_boolean_is_true(tmp_path: Path) -> None:
    assert load_arrays(a_file(tmp_path, {"x": entry("BOOL", [3], [0, 3])}, b"\x00\x02\xff"))["x"].tolist() == [
        False,
        True,
        True,
    ]


def test_arrays_come_in_the_order_of_the_data_whatever_that_of_the_header(tmp_path: Path) -> None:
    header = {"b": entry("U8", [2], [1, 3]), "a": entry("U8", [1], [0, 1])}
    loaded = load_arrays(a_file(tmp_path, header, b"\x01\x02\x03"))
    assert {name: array.tolist() for name, array in loaded.items()} == {"a": [1], "b": [2, 3]}
    assert list(loaded) == ["a", "b"]


@pytest.mark.parametrize("memory_map", [False, True])
def test_an_array_at_an_odd_place_is_aligned_when_loaded(tmp_path: Path, memory_map: bool) -> None:
    header = {"a": entry("U8", [1], [0, 1]), "b": entry("F32", [1], [1, 5])}
    loaded = load_arrays(a_file(tmp_path, header, b"\x01" + np.float32(2.5).tobytes()), memory_map=memory_map)
    assert loaded["b"].tolist() == [2.5]
    assert loaded["b"].flags.aligned


def test_a_memory_map_cannot_be_written_and_outlives_a_replaced_file(tmp_path: Path) -> None:
    save_arrays(tmp_path / "file", {"x": np.ones(1000)})
    x = load_arrays(tmp_path / "file", memory_map=True)["x"]
    assert not x.flags.writeable
    save_arrays(tmp_path / "file", {"x": np.zeros(1000)})
    assert x.sum() == 1000


# Damage


def small_file(folder: Path) -> tuple[Path, bytes, Arrays]:
    arrays: Arrays = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array([1, 2], np.int16)}
    save_arrays(folder / "small", arrays, {"k": "v"})
    return folder / "small", (folder / "small").read_bytes(), arrays


@pytest.mark.parametrize("memory_map", [False, True])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, memory_map: bool) -> None:
    path, content, _ = small_file(tmp_path)
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(FormatError, match=r"small: expected .*, got"):
            load_arrays(path, memory_map=memory_map)


def test_a_large_file_cut_at_random_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save_arrays(path, {f"layer.{i}": np.ones((10, 50)) for i in range(250)})
    for size in sorted(random.Random(1).sample(range(path.stat().st_size), 1000), reverse=True):
        os.truncate(path, size)
        with pytest.raises(FormatError, match=str(path)):
            load_arrays(path)


def test_a_byte_changed_anywhere_in_the_header_is_refused_or_harmless(tmp_path: Path) -> None:
    path, content, arrays = small_file(tmp_path)
    length = 8 + int.from_bytes(content[:8], "little")
    refused = 0
    for position in range(length):
        for change in (0x01, 0x20, 0x80, 0xFF):
            path.write_bytes(content[:position] + bytes([content[position] ^ change]) + content[position + 1 :])
            try:
                loaded = load_arrays(path)
            except FormatError:
                refused += 1
            else:  # a letter of a name or of the metadata, a blank, a sign of the dtype, or two sizes of one product
                assert sum(array.size for array in loaded.values()) == sum(array.size for array in arrays.values())
    assert refused > 2 * length


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(content: bytes) -> None:
    path = Path(os.environ["SPAGO_TEST_FOLDER"]) / "random"
    path.write_bytes(content)
    with pytest.raises(FormatError):
        load_arrays(path)


@given(st.binary(max_size=100))
def test_random_bytes_as_a_header_are_refused(content: bytes) -> None:
    path = Path(os.environ["SPAGO_TEST_FOLDER"]) / "random"
    text = b"{" + content
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(FormatError):
        load_arrays(path)


HOSTILE: dict[str, tuple[Any, dict[str, Any], str]] = {
    "length of 2^64 - 1": (
        b"{}",
        {"length": 2**64 - 1},
        r"a header of at most 2, the rest of the file bytes, got 18446",
    ),
    "length of 2^63": (b"{}", {"length": 2**63}, "a header of at most 2"),
    "length beyond the file": (b"{}", {"length": 3}, "a header of at most 2"),
    "no header": (b"", {}, "a header that begins with {"),
    "blank first": (b" {}", {}, "a header that begins with {, got b' '"),
    "an array": (b"[]", {}, "a header that begins with {"),
    "no JSON": (b"{x}", {}, "a header in JSON and UTF-8"),
    "half of JSON": (b'{"a":', {}, "a header in JSON and UTF-8"),
    "more than JSON": (b"{}x", {}, "a header in JSON and UTF-8"),
    "no UTF-8": (b'{"\xff":1}', {}, "a header in JSON and UTF-8"),
    "NaN": (b'{"a":NaN}', {}, "a header in JSON, got NaN"),
    "nested 10,000 deep": (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", {}, "expected"),
    "objects nested 10,000 deep": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, {}, "expected"),
    "nested 500 deep": (b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", {}, "dtype, shape and data_offsets for 'a'"),
    "a number of 5,000 digits": (b'{"a":' + b"1" * 5000 + b"}", {}, "a header in JSON and UTF-8"),
    "a size of 4,000 digits": (
        b'{"a":{"dtype":"F32","shape":[' + b"9" * 4000 + b'],"data_offsets":[0,4]}}',
        {},
        r"a shape of less than 2\^63 bytes for 'a'",
    ),
    "offsets of 4,300 digits": (
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,' + b"9" * 4300 + b"]}}",
        {},
        "4 bytes for 'a'",
    ),
    "a beginning of 4,300 digits": (
        b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[' + b"9" * 4300 + b"," + b"9" * 4300 + b"]}}",
        {},
        "'a' to begin where the array before it ends, at byte 0",
    ),
    "a name twice": (b'{"a":1,"a":1}', {}, "each name once, got 'a' 2 times"),
    "a field twice": (b'{"a":{"dtype":"F32","dtype":"F32"}}', {}, "each name once, got 'dtype' 2 times"),
    "half a character": (
        b'{"\\ud800":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}',
        {"data": b"1234"},
        "names in Unicode",
    ),
    "metadata of numbers": (b'{"__metadata__":{"a":1}}', {}, "__metadata__ that is text by name, got an object of 1"),
    "metadata of a list": (b'{"__metadata__":[]}', {}, r"__metadata__ that is text by name, got \[\]"),
    "no object": ({"a": 1}, {}, "dtype, shape and data_offsets for 'a', got 1"),
    "a field missing": ({"a": {"dtype": "F32", "shape": []}}, {}, "dtype, shape and data_offsets for 'a'"),
    "a field more": ({"a": {**entry(), "x": 1}}, {"data": b"1234"}, "dtype, shape and data_offsets for 'a'"),
    "unknown dtype": ({"a": entry("F31")}, {"data": b"1234"}, "a dtype of F64, F32, .* for 'a', got 'F31'"),
    "dtype of a list": ({"a": entry(["F32"])}, {"data": b"1234"}, "a dtype of F64"),
    "negative size": ({"a": entry(shape=[-1])}, {"data": b"1234"}, r"sizes from 0 on for 'a', got \[-1\]"),
    "fractional size": ({"a": entry(shape=[1.0])}, {"data": b"1234"}, "sizes from 0 on for 'a'"),
    "true size": ({"a": entry(shape=[True])}, {"data": b"1234"}, "sizes from 0 on for 'a'"),
    "no list of sizes": ({"a": entry(shape=1)}, {"data": b"1234"}, "sizes from 0 on for 'a'"),
    "65 axes": ({"a": entry(shape=[1] * 65)}, {"data": b"1234"}, "a shape of at most 64 sizes"),
    "overflowing product": (
        {"a": entry(shape=[2**32, 2**32], offsets=[0, 0])},
        {},
        r"a shape of less than 2\^63 bytes for 'a', got \[4294967296, 4294967296\]",
    ),
    "huge sizes beside 0": ({"a": entry(shape=[0, 2**62, 2**62], offsets=[0, 0])}, {}, r"less than 2\^63 bytes"),
    "too few bytes": ({"a": entry(shape=[2])}, {"data": b"1234"}, r"8 bytes for 'a', F32 of shape \[2\], got 4"),
    "too many bytes": ({"a": entry(shape=[0])}, {"data": b"1234"}, "0 bytes for 'a'"),
    "offsets reversed": ({"a": entry(offsets=[4, 0])}, {"data": b"1234"}, r"data_offsets .* for 'a', got \[4, 0\]"),
    "negative offsets": ({"a": entry(offsets=[-4, 0])}, {"data": b"1234"}, "data_offsets of a beginning and an end"),
    "three offsets": ({"a": entry(offsets=[0, 4, 4])}, {"data": b"1234"}, "data_offsets of a beginning and an end"),
    "a hole first": ({"a": entry(offsets=[4, 8])}, {"data": b"12345678"}, "at byte 0 of the data, got byte 4"),
    "a hole between": (
        {"a": entry(), "b": entry(offsets=[8, 12])},
        {"data": b"123456789012"},
        "'b' to begin where the array before it ends, at byte 4 of the data, got byte 8",
    ),
    "an overlap": (
        {"a": entry(shape=[2], offsets=[0, 8]), "b": entry(offsets=[4, 8])},
        {"data": b"12345678"},
        "'b' to begin where the array before it ends, at byte 8 of the data, got byte 4",
    ),
    "the same bytes twice": ({"a": entry(), "b": entry()}, {"data": b"1234"}, "at byte 4 of the data, got byte 0"),
    "bytes missing": ({"a": entry()}, {"data": b"123"}, "where the last array ends, got"),
    "bytes left": ({"a": entry()}, {"data": b"12345"}, "where the last array ends, got"),
}


@pytest.mark.parametrize("memory_map", [False, True])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_at_once(tmp_path: Path, name: str, memory_map: bool) -> None:
    header, more, message = HOSTILE[name]
    path = a_file(tmp_path, header, **more)
    error = refusal(partial(load_arrays, memory_map=memory_map), path)
    assert re.search(rf"^{path}: expected .*{message}" if "expected" not in message else message, str(error))


def test_a_header_above_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write((100_000_001).to_bytes(8, "little"))
        file.truncate(200_000_000)
    with pytest.raises(FormatError, match="expected a header of at most 100000000 bytes, got 100000001"):
        load_arrays(path)


def test_a_large_claim_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    path = a_file(tmp_path, {"a": entry("F64", [2**40], [0, 2**43])})
    with pytest.raises(FormatError, match="where the last array ends"):
        load_arrays(path)


def test_an_empty_file_and_a_missing_one_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(FormatError, match=r"empty: expected at least 8 bytes, got 0; is it a safetensors file\?"):
        load_arrays(tmp_path / "empty")
    with pytest.raises(FileNotFoundError):
        load_arrays(tmp_path / "missing")


# Writing


@pytest.mark.parametrize(
    ("arrays", "metadata", "kind", "message"),
    [
        ({"x": np.array(["a"])}, None, TypeError, "expected 'x' to be of floats, integers or booleans, got <U1"),
        ({"x": np.array([1j])}, None, TypeError, "expected 'x' to be of floats, integers or booleans, got complex128"),
        ({"x": np.array([None])}, None, TypeError, "expected 'x' to be of floats, .*, got object"),
        ({"__metadata__": np.zeros(1)}, None, ValueError, "names of arrays that are text, and not __metadata__"),
        ({"\ud800": np.zeros(1)}, None, ValueError, "names of arrays that are text"),
        ({1: np.zeros(1)}, None, ValueError, "names of arrays that are text, and not __metadata__, got 1"),
        ({}, {"a": 1}, TypeError, "metadata that is text by name, got 'a': 1"),
    ],
)
def test_what_the_format_has_not_is_refused_and_the_old_file_stays(
    tmp_path: Path, arrays: Any, metadata: Any, kind: type[Exception], message: str
) -> None:
    save_arrays(tmp_path / "file", {"old": np.zeros(1)})
    with pytest.raises(kind, match=message):
        save_arrays(tmp_path / "file", arrays, metadata)
    assert list(load_arrays(tmp_path / "file")) == ["old"]
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_arrays(tmp_path / "file", {"old": np.zeros(1)})

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left on device"):
        save_arrays(tmp_path / "file", {"new": np.zeros(1)})
    assert list(load_arrays(tmp_path / "file")) == ["old"]
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_file_in_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save_arrays(tmp_path / "none" / "file", {})


@pytest.mark.skipif(sys.platform == "win32", reason="links and permissions are other things there")
def test_a_link_is_followed_and_permissions_stay(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    save_arrays(target, {"old": np.zeros(1)})
    target.chmod(0o640)
    link.symlink_to(target)
    save_arrays(link, {"new": np.zeros(1)})
    assert link.is_symlink()
    assert list(load_arrays(target)) == ["new"]
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250)
    save_arrays(path, {})
    assert load_arrays(path) == {}
