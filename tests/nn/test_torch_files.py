"""Files of PyTorch, read without it: what it writes, and what an attacker would."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import random
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bounds import refusal
from spago import ag, nn
from spago.mat import FormatError

DATA = Path(__file__).parent / "data"


def test_what_pytorch_saved_is_read() -> None:
    content = nn.load_torch(DATA / "tensors.pt")
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = {
        "a": a,
        "transposed": a.T,
        "view": a[1:],
        "half": np.array([0.5, -2], np.float32),
        "bfloat16": np.array([0.5, -2], np.float32),
        "double": np.array([0.1]),
        "long": np.arange(3),
        "parameter": np.ones(2, np.float32),
        "empty": np.zeros((0, 3), np.float32),
        "scalar": np.array(2.5, np.float32),
        "bool": np.array([True, False]),
    }
    more = content.pop("more")
    assert content.keys() == expected.keys()
    for name, array in expected.items():
        assert content[name].dtype == array.dtype
        np.testing.assert_array_equal(content[name], array)
    assert more == {"x": 1, "list": [1, 2.5, None, "s", (1, 2)], "big": 2**70, "size": (1, 2), "dtype": "torch.float32"}
    content["a"][1, 0] = 7
    assert content["view"][0, 0] == 7


def test_a_state_dict_is_loaded_into_a_model() -> None:
    model = nn.Sequential(nn.Linear(2, 3), ag.tanh, nn.Linear(3, 1))
    assert nn.load(model, DATA / "state_dict.pt") == ([], [])
    state = nn.load_torch(DATA / "state_dict.pt")
    np.testing.assert_array_equal(model.state_dict()["2.weight"], state["2.weight"])


def test_arrays_of_dicts_in_dicts_are_named_by_the_path_to_them(tmp_path: Path) -> None:
    model = nn.Linear(3, 2, bias=False)
    rename = {"a": "weight", "more.": None}
    report = nn.compare(model, DATA / "tensors.pt", rename=rename)
    assert report.missing == []
    assert "transposed" in report.unexpected
    nn.load(model, DATA / "tensors.pt", rename=lambda name: "weight" if name == "a" else None)
    assert model.weight.value.tolist() == [[0, 1, 2], [3, 4, 5]]


# Attacks


def an_archive(path: Path, data: bytes, storages: dict[str, bytes] | None = None, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        for name, content in (storages or {"0": bytes(24)}).items():
            archive.writestr(f"archive/data/{name}", content)
        for name, content in entries.items():
            archive.writestr(f"archive/{name}", content)
    return path


class Evil:
    """Anything that pickle can be made to call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def _short(text: str) -> bytes:
    return b"\x8c" + bytes((len(text),)) + text.encode()


EXECUTED: list[str] = []
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x06tQ"


def _tensor(offset: bytes = b"K\0", sizes: bytes = b"K\x02K\x03\x86", strides: bytes = b"K\x03K\x01\x86") -> bytes:
    return b"\x80\x02" + TENSOR + b"(" + STORAGE + offset + sizes + strides + b"\x89ccollections\nOrderedDict\n)RtR."


def test_the_hand_made_tensor_is_one(tmp_path: Path) -> None:
    assert nn.load_torch(an_archive(tmp_path / "file", _tensor())).shape == (2, 3)


EXPLOITS: dict[str, bytes] = {
    "os.system by REDUCE": pickle.dumps(Evil(__import__("os").system, "true"), 2),
    "eval": pickle.dumps(Evil(eval, "EXECUTED.append('x')"), 2),
    "exec by STACK_GLOBAL": pickle.dumps(Evil(exec, "EXECUTED.append('x')"), 4),
    "getattr": pickle.dumps(Evil(getattr, [], "append"), 4),
    "import": pickle.dumps(Evil(__import__, "os"), 4),
    "INST": b"(S'true'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'true'\no.",
    "NEWOBJ": b"\x80\x02cos\nsystem\n)\x81.",
    "NEWOBJ_EX": b"\x80\x04" + _short("os") + _short("system") + b"\x93)}\x92.",
    "BUILD with __setstate__": b"\x80\x02ccollections\nOrderedDict\n)R}X\x0c\0\0\0__setstate__cos\nsystem\nsb.",
    "BUILD on a dict": b"\x80\x02}}X\x01\0\0\0aK\x01sb.",
    "BUILD on a tensor": _tensor()[:-1] + b"}b.",
    "EXT1": b"\x80\x02\x82\x01.",
    "EXT4": b"\x80\x02\x84\x01\0\0\0.",
    "PERSID": b"Pstorage\n.",
    "persistent id of text": b"X\x01\0\0\0aQ.",
    "persistent id of another kind": b"(X\x06\0\0\0modulectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x06tQ.",
    "a class of storages of one's own": b"(X\x07\0\0\0storagecos\nsystem\nX\x01\0\0\x000X\x03\0\0\0cpuK\x06tQ.",
    "torch.load inside": b"\x80\x02ctorch\nload\nX\x01\0\0\0a\x85R.",
    "torch.jit.load": b"\x80\x02ctorch.jit\nload\nX\x01\0\0\0a\x85R.",
    "torch._utils other": b"\x80\x02ctorch._utils\n_rebuild_wrapper_subclass\n)R.",
    "numpy scalar": b"\x80\x02cnumpy.core.multiarray\nscalar\n)R.",
    "numpy _reconstruct": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R.",
    "numpy runstring": b"\x80\x02cnumpy.testing._private.utils\nrunstring\nX\x01\0\0\0a\x85R.",
    "a name with dots": b"\x80\x04" + _short("collections") + _short("OrderedDict.__class__") + b"\x93.",
    "collections.abc": b"\x80\x02ccollections\n_sys\n.",
    "_codecs.decode": b"\x80\x02c_codecs\ndecode\n.",
    "_codecs with another codec": b"\x80\x02c_codecs\nencode\nX\x01\0\0\0aX\x04\0\0\0zlib\x86R.",
    "an OrderedDict of a call": b"\x80\x02ccollections\nOrderedDict\ncos\nsystem\n\x85R.",
    "a call of a value": b"\x80\x02X\x01\0\0\0a)R.",
    "a call of a dtype": b"\x80\x02ctorch\nfloat32\n)R.",
    "no STOP": b"\x80\x02}",
    "two values": b"\x80\x02}}.",
    "something behind STOP": b"\x80\x02}." + pickle.dumps(Evil(eval, "EXECUTED.append('x')"), 2),
    "an empty stack": b"\x80\x02.",
    "POP beyond the mark": b"\x80\x02(a.",
    "a mark without items": b"\x80\x02}u.",
    "an unknown memo": b"\x80\x02h\x07.",
    "SETITEMS on a list": b"\x80\x02](K\x01K\x02u.",
    "APPEND to a tuple": b"\x80\x02)K\x01a.",
    "an unhashable key": b"\x80\x02}]K\x01s.",
    "a key twice": b"\x80\x02}(K\x01K\x02K\x01K\x03u.",
    "a list in itself": b"\x80\x02]q\0h\0a.",
    "tuples 10,000 deep": b"\x80\x02)" + b"\x85" * 10_000 + b".",
    "lists 10,000 deep": b"\x80\x02" + b"]" * 10_000 + b"a" * 9_999 + b".",
    "text past the end": b"\x80\x02X\xff\xff\xff\x7fa.",
    "text that is no UTF-8": b"\x80\x02X\x01\0\0\0\xff.",
    "protocol 9": b"\x80\x09}.",
    "an unknown instruction": b"\x80\x02\xf0.",
    "a million lists": b"\x80\x02(" + b"]" * 2_000_000 + b"t.",
    "offset past the end": _tensor(offset=b"K\x01"),
    "a negative offset": _tensor(offset=b"J\xff\xff\xff\xff"),
    "an offset of 2^70": _tensor(offset=b"\x8a\x0a" + (2**70).to_bytes(10, "little")),
    "sizes past the end": _tensor(sizes=b"K\x02K\x04\x86"),
    "strides past the end": _tensor(strides=b"K\x04K\x01\x86"),
    "negative strides": _tensor(strides=b"K\x03J\xff\xff\xff\xff\x86"),
    "a stride of 0 beyond the storage": _tensor(sizes=b"M\xff\xffK\x03\x86", strides=b"K\0K\x01\x86"),
    "sizes and strides of other lengths": _tensor(strides=b"K\x01\x85"),
    "65 axes": _tensor(sizes=b"(" + b"K\x01" * 65 + b"t", strides=b"(" + b"K\x01" * 65 + b"t"),
    "sizes of text": _tensor(sizes=b"X\x01\0\0\0a\x85", strides=b"K\x01\x85"),
    "huge sizes beside 0": _tensor(sizes=b"K\0\x8a\x08" + (2**61).to_bytes(8, "little") + b"\x86"),
    "a storage of another size": _tensor().replace(b"cpuK\x06", b"cpuK\x07"),
    "a missing storage": _tensor().replace(b"X\x01\0\0\x000", b"X\x01\0\0\x009"),
}


@pytest.mark.parametrize("name", EXPLOITS)
def test_an_exploit_is_refused_at_once(tmp_path: Path, name: str) -> None:
    path = an_archive(tmp_path / "file", EXPLOITS[name])
    assert str(refusal(nn.load_torch, path)).startswith(f"{path}: expected ")
    assert EXECUTED == []


def test_a_tensor_of_a_tensor_stays_inside_its_storage(tmp_path: Path) -> None:
    # A view that repeats its elements is no storage to take another view of.
    inner = _tensor(sizes=b"K\x03\x85", strides=b"K\0\x85")[2:-1]
    data = b"\x80\x02" + TENSOR + b"(" + inner + b"K\0K\x03\x85K\x01\x85\x89}tR."
    with pytest.raises(FormatError, match="expected .* a tensor inside its storage"):
        nn.load_torch(an_archive(tmp_path / "file", data))


def test_only_stored_entries_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "file", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", _tensor())
        archive.writestr("archive/data/0", bytes(100_000_000))
    with pytest.raises(FormatError, match="to be stored as it is, got it compressed or encrypted"):
        nn.load_torch(tmp_path / "file")


def test_other_archives_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2))
    with pytest.raises(FormatError, match=r"expected the end of a zip archive, got none; is it a file of PyTorch 1\.6"):
        nn.load_torch(tmp_path / "old")
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(FormatError, match=r"expected one entry data\.pkl, got 0; is it a file of torch\.save\?"):
        nn.load_torch(tmp_path / "zip")
    with pytest.raises(FormatError, match="expected numbers whose first byte is the lowest, got others"):
        nn.load_torch(an_archive(tmp_path / "big", _tensor(), byteorder=b"big"))


def test_entries_may_not_overlap_or_come_twice(tmp_path: Path) -> None:
    path = an_archive(tmp_path / "file", _tensor(), {"0": bytes(24), "1": bytes(24)})
    data = bytearray(path.read_bytes())
    first = data.index(b"archive/data/0", data.index(b"PK\1\2")) - 46
    second = data.index(b"archive/data/1", first) - 46
    twice = bytes(data).replace(b"archive/data/1", b"archive/data/0")
    path.write_bytes(twice)
    with pytest.raises(FormatError, match="expected each entry once, got 'archive/data/0' again"):
        nn.load_torch(path)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    path.write_bytes(data)
    with pytest.raises(FormatError, match="expected 'archive/data/1' at byte"):
        nn.load_torch(path)


@pytest.mark.parametrize("name", ["tensors.pt", "state_dict.pt"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    path = Path(shutil.copy(DATA / name, tmp_path / "file"))
    for size in reversed(range(path.stat().st_size)):
        os.truncate(path, size)
        with pytest.raises(FormatError, match=str(path)):
            nn.load_torch(path)


def test_an_entry_says_its_large_sizes_elsewhere(tmp_path: Path) -> None:
    data = bytearray(an_archive(tmp_path / "file", _tensor()).read_bytes())
    at = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)
    name_size = int.from_bytes(data[at + 28 : at + 30], "little")
    sizes, place = bytes(data[at + 20 : at + 28]), bytes(data[at + 42 : at + 46])
    extra = struct.pack("<2HQQQ", 1, 24, *struct.unpack("<2L", sizes), *struct.unpack("<L", place))
    for content in (extra, b"\7\0\0\0" + extra, extra[:-8], b""):
        large = data.copy()
        large[at + 20 : at + 28], large[at + 42 : at + 46] = b"\xff" * 8, b"\xff" * 4
        large[at + 30 : at + 32] = len(content).to_bytes(2, "little")
        large[at + 46 + name_size : at + 46 + name_size] = content
        end = large.rindex(b"PK\5\6")
        size = int.from_bytes(large[end + 12 : end + 16], "little") + len(content)
        large[end + 12 : end + 16] = size.to_bytes(4, "little")
        (tmp_path / "large").write_bytes(large)
        if extra in content:
            assert nn.load_torch(tmp_path / "large").shape == (2, 3)
        else:
            with pytest.raises(FormatError):
                nn.load_torch(tmp_path / "large")


def test_a_large_file_cut_at_random_is_refused(tmp_path: Path) -> None:
    path = an_archive(tmp_path / "file", _tensor(), {"0": bytes(24)} | {f"{i}": bytes(4000) for i in range(1, 200)})
    for size in sorted(random.Random(1).sample(range(path.stat().st_size), 1000), reverse=True):
        os.truncate(path, size)
        with pytest.raises(FormatError, match=str(path)):
            nn.load_torch(path)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/passwd", "\\evil"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"}.")
        archive.writestr(name, b"")
    with pytest.raises(FormatError, match="expected entries whose names are no paths to elsewhere, got"):
        nn.load_torch(path)
    an_archive(path, b"\x80\x02}" + _short(name) + _tensor()[2:-1] + b"s.")
    assert list(nn.load_torch(path)) == [name]  # plain data
    with pytest.raises(FormatError, match="expected names that are no paths to elsewhere, got"):
        nn.load(nn.Linear(1, 1), path)


@pytest.mark.parametrize("name", ["tensors.pt", "state_dict.pt"])
def test_a_byte_changed_anywhere_is_refused_or_harmless(tmp_path: Path, name: str) -> None:
    data = (DATA / name).read_bytes()
    whole = str(nn.load_torch(DATA / name))
    path = Path(shutil.copy(DATA / name, tmp_path / "file"))
    with path.open("r+b", buffering=0) as file:
        for place, byte in enumerate(data):
            file.seek(place)
            file.write(bytes((byte ^ 0xFF,)))
            try:
                assert str(nn.load_torch(path)) == whole  # such as the time in the list of entries
            except FormatError as error:
                assert str(path) in str(error)  # noqa: PT017 - most changes are none of the above
            file.seek(place)
            file.write(bytes((byte,)))


def test_numbers_that_were_changed_on_the_way_are_refused(tmp_path: Path) -> None:
    data = an_archive(tmp_path / "file", _tensor()).read_bytes()
    (tmp_path / "file").write_bytes(data.replace(bytes(24), bytes(23) + b"\1", 1))
    with pytest.raises(FormatError, match="file, storage '0': expected bytes of CRC-32 .*, got .*; they were ch"):
        nn.load_torch(tmp_path / "file")


def test_an_archive_without_checksums_is_read(tmp_path: Path) -> None:
    data = bytearray(an_archive(tmp_path / "file", _tensor()).read_bytes())
    at = data.find(b"PK\1\2")
    while at >= 0:
        data[at + 16 : at + 20] = bytes(4)
        at = data.find(b"PK\1\2", at + 4)
    (tmp_path / "file").write_bytes(data)
    assert nn.load_torch(tmp_path / "file").shape == (2, 3)


def test_random_pickles_end_in_one_exception(tmp_path: Path) -> None:
    generator = random.Random(1)
    seeds = [zipfile.ZipFile(DATA / name).read(f"{name[:-3]}/data.pkl") for name in ("tensors.pt", "state_dict.pt")]
    codes = [ord(op.code) for op in pickletools.opcodes]
    for _ in range(1500):
        data = bytearray(generator.choice(seeds))
        for _ in range(generator.randint(1, 4)):
            place = generator.randrange(len(data))
            data[place : place + generator.choice((0, 1, 4))] = bytes(
                generator.choices(codes, k=generator.randint(0, 3))
            )
        path = an_archive(tmp_path / "file", bytes(data))
        try:
            nn.load_torch(path)
        except FormatError as error:
            assert str(path) in str(error)  # noqa: PT017


def test_an_archive_beyond_4_gib_is_found_by_its_large_numbers(tmp_path: Path) -> None:
    buffer = io.BytesIO(an_archive(tmp_path / "file", _tensor()).read_bytes())
    data = bytearray(buffer.getvalue())
    end = data.rindex(b"PK\5\6")
    count, size, start = struct.unpack_from("<HLL", data, end + 10)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    small = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (tmp_path / "large").write_bytes(data[:end] + record + locator + small)
    assert nn.load_torch(tmp_path / "large").shape == (2, 3)
