"""The gob format: numbers, structs, what users declare, what is refused."""

from __future__ import annotations

import random
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden_gob import FOLDER, array_of, assert_contents, read_json
from spago import ag, nn
from spago.mat import FormatError
from spago.nn import gob
from spago.nn.gob import _numbers

# Numbers


GO_TYPES = {"bool": "bool", "int": "int", "uint": "uint", "float": "float64", "complex": "complex128"}


@pytest.mark.parametrize(
    ("kind", "value", "data"),
    [
        ("uint", 0, "00"),
        ("uint", 127, "7f"),
        ("uint", 128, "ff80"),
        ("uint", 256, "fe0100"),
        ("uint", 2**64 - 1, "f8ffffffffffffffff"),
        ("int", 3, "06"),
        ("int", -1, "01"),
        ("int", -65, "ff81"),
        ("int", -129, "fe0101"),
        ("int", -(2**63), "f8ffffffffffffffff"),
        ("float", 1.0, "fef03f"),
        ("float", -2.5, "fe04c0"),
        ("float", 0.1, "f89a9999999999b93f"),
        ("float", -0.0, "ff80"),
    ],
)
def test_a_number_has_the_bytes_of_the_documentation(kind: str, value: Any, data: str) -> None:
    stream = gob.dumps(value, GO_TYPES[kind])
    assert stream[3:].hex() == data
    assert gob.loads(stream) == value


RANDOM = np.random.default_rng(1)
RUNS = {
    "float": np.concatenate([RANDOM.normal(size=900), RANDOM.normal(size=900).astype(np.float32), np.arange(300.0)]),
    "int": np.concatenate([RANDOM.integers(-(2**63), 2**63 - 1, 500), np.arange(-300, 300), [2**63 - 1, -(2**63)]]),
    "uint": RANDOM.integers(0, 2**64 - 1, 900, dtype=np.uint64) >> RANDOM.integers(0, 64, 900, dtype=np.uint64),
    "bool": RANDOM.random(100) < 0.5,
    "complex": RANDOM.normal(size=100) + 1j * RANDOM.normal(size=100),
}


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("chunk", [72, 1000, 1 << 15])
def test_a_run_of_numbers_is_what_they_are_one_by_one(kind: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_numbers, "_CHUNK", chunk)
    numbers = RUNS[kind]
    data = b"".join(_numbers.encode_run(numbers, kind))
    singly = [gob.dumps(x.item(), GO_TYPES[kind]) for x in numbers[:50]]
    assert data.startswith(b"".join(stream[3:] for stream in singly))
    again, used = _numbers.decode_run(memoryview(data + b"more"), kind, len(numbers))
    assert used == len(data)
    assert again.dtype == numbers.dtype
    np.testing.assert_array_equal(again, numbers)


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_that_is_cut_or_broken_is_refused(kind: str) -> None:
    data = b"".join(_numbers.encode_run(RUNS[kind], kind))
    for size in (0, 1, len(data) // 2, *range(len(data) - 9, len(data))):
        with pytest.raises(FormatError, match="expected .* numbers, got .* before the end"):
            _numbers.decode_run(memoryview(data[:size]), kind, len(RUNS[kind]))
    with pytest.raises(FormatError, match="expected a number, got a first byte of 0xf0"):
        _numbers.decode_run(memoryview(data[:-1] + b"\xf0" * 40), kind, len(RUNS[kind]) + 9)


def test_matrices_and_lists_of_floats_are_read_fast(tmp_path: Path) -> None:
    gob.save(np.zeros((1000, 5000), np.float32), tmp_path / "matrix")
    gob.save(RANDOM.normal(size=500_000), tmp_path / "list", "[]float64")
    for name, size in (("matrix", 20), ("list", 4)):
        start = time.process_time()
        gob.load(tmp_path / name)
        # 100 MB/s is what a quiet machine has at least.
        assert size / (time.process_time() - start) > 25


# What users declare


@gob.model("*toys.Residual", {"Inner": ("nn.StandardModel", "inner"), "Times": ("int", "times")})
class Residual(nn.Module):
    def __init__(self, inner: nn.Module, times: int) -> None:
        self.inner = inner
        self.times = times

    def forward(self, x: Any) -> Any:
        for _ in range(self.times):
            x = x + self.inner(x)
        return x


gob.declare("gobgen/toys.ConstScale", {"Factor": "float64", "Note": "string"})
gob.declare("toys.mustShadow", {"On": "bool"})
gob.declare(
    "toys.Settings",
    {
        "Hidden": "int",
        "Rate": "float64",
        "Labels": "[]string",
        "Flags": "map[string]bool",
        "Window": "[3]int",
        "Raw": "[]byte",
        "Neg": "int64",
        "Big": "uint64",
        "Small": "int8",
        "Half": "float32",
        "Empty": "string",
        "Nested": "[][]int",
    },
)


@gob.model(
    "*toys.Tagger",
    {
        "Name": ("string", "name"),
        "Size": ("int", "size"),
        "Encoder": ("*birnn.Model", "encoder"),
        "Layers": ("[]nn.StandardModel", "layers"),
        "Output": ("*linear.Model", "output"),
        "Table": ("map[string]nn.Param", "table"),
        "Scorers": ("map[string]*linear.Model", "scorers"),
        "ByID": ("map[int]*linear.Model", "by_id"),
        "Settings": ("toys.Settings", "settings"),
        "Scale": ("any", "scale"),
        "Spare": ("nn.Param", "spare"),
        "Extra": ("*linear.Model", "extra"),
        "Biases": ("[]nn.Param", "biases"),
        "Words": ("*embeddings.Model[string]", "words"),
        "Link": ("embeddings.Shared[string]", "link"),
        "Shadow": ("toys.mustShadow", "shadow"),
    },
)
class Tagger(nn.Module):
    """The model of composite.go.txt."""

    encoder: nn.BiRNN
    layers: list[Any]
    output: nn.Linear
    table: dict[str, nn.Param]
    scorers: dict[str, nn.Linear]
    by_id: dict[int, nn.Linear]
    biases: list[nn.Param | None]
    scale: Any

    def forward(self, xs: Any) -> Any:
        h, _ = self.encoder(xs)
        for layer in self.layers:
            h = layer(h)
        y = self.output(h)
        for param in self.table.values():
            y = y + param
        for _, scorer in (*sorted(self.scorers.items()), *sorted(self.by_id.items())):
            y = scorer(y)
        for bias in self.biases:
            y = y if bias is None else y + bias
        return y * self.scale["Factor"]


@pytest.mark.parametrize("name", ["composite_f32", "composite_f64"])
def test_a_model_of_a_user_computes_what_go_computes(tmp_path: Path, name: str) -> None:
    contents = read_json(f"{name}.json")
    model = gob.load_model(FOLDER / f"{name}.gob", "*toys.Tagger")
    assert isinstance(model, Tagger)
    assert isinstance(model.layers[3], Residual)
    xs = np.stack([array_of(x)[:, 0] for x in contents["forward"]["inputs"]])
    ys = np.stack([array_of(y)[:, 0] for y in contents["forward"]["outputs"]])
    np.testing.assert_allclose(model(xs).value, ys, rtol=1e-5)
    gob.save_model(model, tmp_path / "file")
    again = gob.load_model(tmp_path / "file")
    np.testing.assert_array_equal(again(xs).value, model(xs).value)
    assert {name: value.tolist() for name, value in again.state_dict().items()} == {
        name: value.tolist() for name, value in model.state_dict().items()
    }
    plain = gob.load(FOLDER / f"{name}.gob", "*toys.Tagger")
    gob.save(plain, tmp_path / "plain")
    assert_contents(gob.load(tmp_path / "plain"), contents)


def test_forty_models_inside_one_another_are_read() -> None:
    model = gob.load_model(FOLDER / "odd" / "nested_40.gob", "*toys.Residual")
    depth = 0
    while isinstance(model, Residual):
        model, depth = model.inner, depth + 1
    assert depth >= 39


def test_activations_are_functions_here() -> None:
    residual = gob.loads_model(gob.dumps_model(Residual(ag.tanh, 1)), "*toys.Residual")  # type: ignore[arg-type]
    assert residual.inner is ag.tanh


# Writing


def test_fields_that_are_zero_are_left_out_and_read_as_zero() -> None:
    kind = gob.declare("main.Zero", {"N": "int", "X": "float64", "S": "string", "L": "[]int", "P": "nn.Param"})
    struct = gob.loads(gob.dumps(gob.Struct(kind, N=0, X=-0.0, S="", L=[], P=None)))
    assert dict(struct) == {}
    assert (struct["N"], struct["X"], struct["S"], struct["P"]) == (0, 0.0, "", None)
    assert len(struct["L"]) == 0
    with pytest.raises(KeyError):
        struct["Q"]


def test_equal_data_give_equal_bytes() -> None:
    kind = gob.declare("main.Counts", {"Of": "map[string]int"})
    one, other = (gob.Struct(kind, Of=dict(items)) for items in ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)]))
    assert gob.dumps(one) == gob.dumps(other)


def _cycle() -> Any:
    loop: list[Any] = []
    loop.append(gob.Interface("[]interface {}", loop, gob.go_type("[]any")))
    return loop


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (2**63, "int", "value: expected a int that Go has, got 9223372036854775808"),
        (-1, "uint", "expected a uint that Go has, got -1"),
        (True, "int", "expected a int that Go has, got True"),
        ("\ud800", "string", "expected text that UTF-8 has"),
        (
            np.zeros((1, 1, 1), np.float32),
            "mat.Dense[float32]",
            "expected a mat.Dense, got ndarray",
        ),
        (np.zeros((1, 1), np.float16), "mat.Matrix", "expected a matrix of float32 or float64, got .* of float16"),
        ([None], "[]*linear.Model", "0: expected a struct Model, got NoneType"),
        ({"Weight": None}, "linear.Model", "expected fields of Model: Module, W, B, got Weight"),
        (5, "any", "expected what a Go interface can hold, under a registered name, got int"),
        (np.zeros((1, 1)), "nn.Param", "expected what a nn.Param interface can hold, .* got ndarray"),
        ([1, 2], "[3]int", "expected an array of 3 elements, got 2"),
        (_cycle(), "[]any", "expected a value that does not contain itself, got a list that does"),
        (5, None, "expected a Struct, Param, Buffer or matrix, got int; say which kind"),
    ],
)
def test_what_go_has_not_is_refused(value: Any, kind: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gob.dumps(value, kind)


def test_a_type_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a Go type such as int, .* got 'main.Nowhere'; is its struct decl"):
        gob.go_type("[]*main.Nowhere")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    gob.save(np.ones((1, 1)), tmp_path / "file")
    with pytest.raises(ValueError, match="say which kind"):
        gob.save(object(), tmp_path / "file")
    assert gob.load(tmp_path / "file").tolist() == [[1]]


# Damage


SMALL = ("linear_f32", "linear_adam_f32", "worked_birnn", "nil_param", "embeddings_string_f32", "buffer_f32")


def _try(data: bytes, kind: str | None) -> None:
    """Read; only FormatError may come out, with a place."""
    for read in (gob.loads, gob.loads_model):
        try:
            read(data, kind)
        except FormatError as error:
            assert "gob" in str(error)  # noqa: PT017 - most damage is no error at all


@pytest.mark.parametrize("name", SMALL)
def test_a_file_cut_anywhere_is_refused(name: str) -> None:
    data = (FOLDER / f"{name}.gob").read_bytes()
    kind = read_json(f"{name}.json")["load_as"]
    for size in range(len(data)):
        with pytest.raises(FormatError, match="^gob, byte "):
            gob.loads(data[:size], kind)


def test_a_large_file_cut_at_random_is_refused() -> None:
    kind = gob.declare("main.Large", {"Layers": "[]*linear.Model"})
    data = gob.dumps(gob.Struct(kind, Layers=[gob.to_data(nn.Linear(10, 10)) for _ in range(300)]))
    for size in random.Random(1).sample(range(len(data)), 1000):
        with pytest.raises(FormatError, match="^gob, byte "):
            gob.loads(data[:size], "main.Large")


@pytest.mark.parametrize("name", SMALL)
def test_any_byte_may_be_another(name: str) -> None:
    data = bytearray((FOLDER / f"{name}.gob").read_bytes())
    kind = read_json(f"{name}.json")["load_as"]
    for place in range(len(data)):
        for change in (0xFF, 0x80, 0x01):
            data[place] ^= change
            _try(bytes(data), kind)
            data[place] ^= change


def test_random_changes_end_in_one_exception() -> None:
    generator = random.Random(1)
    files = sorted(FOLDER.glob("*.gob")) + sorted((FOLDER / "odd").glob("*.gob"))
    for _ in range(1500):
        data = bytearray(generator.choice(files).read_bytes())
        for _ in range(generator.randint(1, 4)):
            place = generator.randrange(len(data))
            data[place : place + generator.choice((0, 1, 1, 5))] = generator.randbytes(generator.choice((0, 1, 1, 3)))
        _try(bytes(data), generator.choice((None, "*linear.Model", "*lstm.Model")))


def _message(data: bytes) -> bytes:
    return _numbers.encode_uint(len(data)) + data


def _recursive_slices(depth: int) -> bytes:
    """Type 65 is a list of itself, of which depth are inside one another."""
    definition = _message(_numbers.encode_int(-65) + bytes.fromhex("02 01 02 ff 82 00 01 ff 82 00 00"))
    return definition + _message(_numbers.encode_int(65) + b"\0" + b"\1" * depth + b"\0")


def test_values_may_be_nested_200_deep_and_not_10000() -> None:
    value = gob.loads(_recursive_slices(200))
    for _ in range(200):
        (value,) = value
    with pytest.raises(FormatError, match="expected values at most 300 deep inside one another, got deeper ones"):
        gob.loads(_recursive_slices(10_000))


def test_what_takes_more_memory_than_the_file_allows_is_refused() -> None:
    # Lists of lists that are empty: one byte each in the file, one object each in memory.
    count = 600_000
    definition = _recursive_slices(0)[:-5]
    data = definition + _message(_numbers.encode_int(65) + b"\0" + _numbers.encode_uint(count) + b"\0" * count)
    assert len(gob.loads(data, memory_limit=1 << 30)) == count
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="expected values that take at most .* raise memory_limit"):
            gob.loads(data)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(data) + (64 << 20)
    finally:
        tracemalloc.stop()


def test_a_key_of_a_map_comes_once() -> None:
    stream = bytearray(gob.dumps({"a": 1, "b": 2}, "map[string]int"))
    stream[stream.rindex(b"b")] = ord("a")
    with pytest.raises(FormatError, match="expected each key once, got 'a' again"):
        gob.loads(bytes(stream))
