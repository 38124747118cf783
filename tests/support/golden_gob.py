"""Files of Go Spago and what they contain: tests/golden/data/gob, or the folder that SPAGO_GOLDEN_GOB names.

X.gob was written by Go, X.json tells its contents as Go sees them: parameters, buffers, other fields and opaque values,
each by its path.
"""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from spago.nn import gob

FOLDER = Path(os.environ.get("SPAGO_GOLDEN_GOB") or Path(__file__).parent.parent / "golden" / "data" / "gob")


def names() -> list[str]:
    """The files whose contents are told, save for the one that holds many values."""
    return sorted(path.stem for path in FOLDER.glob("*.gob") if path.stem != "values")


def read_json(path: str) -> Any:
    """A JSON file of the folder."""
    return json.loads((FOLDER / path).read_text(encoding="utf-8"))


def kind_of(contents: Any) -> str | None:
    """The Go type to read a file as; none for those of users, and for an interface."""
    kind: str = contents["load_as"]
    return None if "toys." in kind or contents.get("top_level_interface") else kind


def array_of(tensor: Any) -> Any:
    """The array of a tensor in JSON."""
    numbers = [float(x) if isinstance(x, str) else x for x in tensor["data"]]
    return np.array(numbers, tensor["dtype"]).reshape(tensor["shape"])


def follow(value: Any, path: str) -> Any:
    """What a path leads to."""
    for name in path.split(".") if path else ():
        if name == "#len":
            return 0 if value is None else len(value)
        if name == "#keys":
            return sorted(map(str, value or {}))
        if isinstance(value, list):
            value = value[int(name)]
        elif isinstance(value, gob.Struct):
            value = value[name]
        elif isinstance(value, dict):
            value = next(element for key, element in value.items() if str(key) == name)
        else:
            raise AssertionError(f"{name} of {path}: {value!r} has no parts")
    return value


def assert_contents(value: Any, contents: Any) -> None:
    """Fail unless all that is told of a file is in what was read."""
    for path, told in contents["params"].items():
        _assert_param(follow(value, path), told)
    for path, told in contents["buffers"].items():
        found = follow(value, path)
        if isinstance(found, np.ndarray):
            _assert_tensor(found, told["value"])
        else:
            assert found.name == told["name"]
            _assert_tensor(found.value, told["value"])
    for path, told in contents["fields"].items():
        assert_plain(follow(value, path), told)
    for path, told in contents["opaque"].items():
        found = follow(value, path)
        data = found.value if isinstance(found, gob.Interface) else found
        assert data == bytes.fromhex(told["bytes_hex"])


def _assert_param(param: Any, told: Any) -> None:
    if told is None:
        assert param is None
        return
    assert isinstance(param, gob.Param)
    assert (param.name, param.type, param.requires_grad) == (told["name"], told["type"], told["requires_grad"])
    _assert_tensor(param.value, told["value"])
    if told["payload"] is None:
        assert param.payload is None
        return
    assert param.payload is not None
    assert param.payload.label == told["payload"]["label"]
    for matrix, tensor in zip(param.payload.data, told["payload"]["data"], strict=True):
        _assert_tensor(matrix, tensor)


def _assert_tensor(array: Any, tensor: Any) -> None:
    if tensor is None:
        assert array is None
        return
    expected = array_of(tensor)
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)
    np.testing.assert_array_equal(np.signbit(array), np.signbit(expected) ^ (np.isnan(array) & np.signbit(array)))


def assert_plain(value: Any, told: Any) -> None:  # noqa: PLR0912 - a case a kind
    """Fail unless a value is as told."""
    if isinstance(value, gob.Interface):
        if isinstance(told, dict) and "iface" in told:
            assert value.go_name == told["iface"]
            told = told["value"]
        value = value.value
    elif isinstance(value, gob.Struct) and isinstance(told, dict) and "iface" in told:
        assert value.go_name == told["iface"]
        told = told["value"]
    if isinstance(told, dict) and "bytes_hex" in told:
        assert value == bytes.fromhex(told["bytes_hex"])
    elif isinstance(told, dict) and "utf8_hex" in told:
        assert value.encode("utf-8", "surrogateescape") == bytes.fromhex(told["utf8_hex"])
    elif isinstance(told, dict) and "complex" in told:
        assert value == complex(*told["complex"])
    elif isinstance(told, dict) and "entries" in told:
        assert len(value) == len(told["entries"])
        for (key, element), (told_key, told_element) in zip(value.items(), told["entries"], strict=True):
            assert_plain(key, told_key)
            assert_plain(element, told_element)
    elif isinstance(told, dict):
        for name, element in told.items():
            assert_plain(value[name], element)
    elif isinstance(told, list):
        assert len(value) == len(told)
        for element, told_element in zip(value, told, strict=True):
            assert_plain(element, told_element)
    elif told is None:
        # Nothing: also a pointer, slice or map that Go left out.
        assert value is None or not len(value)
    elif isinstance(told, str) and told in ("NaN", "-0", "Infinity", "-Infinity"):
        expected = float(told)
        assert value == expected or (math.isnan(value) and math.isnan(expected))
        assert math.isnan(value) or math.copysign(1, value) == math.copysign(1, expected)
    else:
        assert value == told
