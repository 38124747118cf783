"""`python -m spago.nn`."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from golden_gob import FOLDER
from spago import nn
from spago.nn import gob
from spago.nn.__main__ import main

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize(
    ("path", "kind", "line"),
    [
        (FOLDER / "linear_adam_f32.gob", "gob", "W.payload.0    3x2  F32       24"),
        (FOLDER / "composite_f32.gob", "gob", "Layers.3: *toys.Residual"),
        (DATA / "tensors.pt", "pytorch", "scalar         ()  F32        4"),
    ],
)
def test_inspect_shows_what_is_in_a_file(path: Path, kind: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{path}: {kind}, {path.stat().st_size:,} bytes, ")
    assert line in shown.splitlines()
    assert main(["inspect", "--json", str(path)]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["format"] == kind
    assert all(array["bytes"] >= 0 for array in info["arrays"])


def test_inspect_knows_safetensors_and_writes_no_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.safetensors"
    nn.save_arrays(path, {"a\x1b[2J": np.ones((2, 3), np.float16)}, {"note": "x" * 100})
    main(["inspect", str(path)])
    shown = capsys.readouterr().out
    assert "a\\x1b[2J    2x3  F16       12" in shown
    assert f"note: {'x' * 60}… (100 characters)" in shown


@pytest.mark.parametrize("name", ["bilstm_f32", "crf_f64", "lstm_refined_adam_f32"])
def test_convert_there_and_back_gives_the_same_model(tmp_path: Path, name: str) -> None:
    there, back = str(tmp_path / "model.safetensors"), str(tmp_path / "model.gob")
    assert main(["convert", str(FOLDER / f"{name}.gob"), there]) == 0
    assert main(["convert", there, back]) == 0
    ours, theirs = gob.load_model(FOLDER / f"{name}.gob").state_dict(), gob.load_model(back).state_dict()
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        np.testing.assert_array_equal(value, theirs[key])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "nowhere"], "No such file or directory: 'nowhere'"),
        (["inspect", str(FOLDER / "bad" / "dense_huge.gob")], "expected 4398046511121 bytes for 1073741824 x 1024"),
        (["convert", str(FOLDER / "linear_f32.gob"), "out.gob"], "expected another ending than .gob, as .* is of that"),
        (["convert", str(FOLDER / "linear_f32.gob"), "none/out"], "No such folder: '.*none'"),
        (["inspect", str(FOLDER / "linear_f32.json")], "expected"),
        (["inspect", __file__], "expected a model file of gob, safetensors or PyTorch, got none; as gob, .*expected"),
        (
            ["convert", str(FOLDER / "embeddings_string_f32.gob"), "out.safetensors"],
            "expected a model that is also a layer here",
        ),
        (
            ["convert", str(DATA / "state_dict.pt"), "out.gob"],
            "expected a file of nn.save, got one of PyTorch, which te",
        ),
        (["inspect"], "the following arguments are required: file"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("usage: ")]
    assert re.search(message, line)


def test_inspect_tells_the_dtypes_of_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    main(["inspect", "--json", str(DATA / "tensors.pt")])
    told = {array["name"]: (array["dtype"], array["bytes"]) for array in json.loads(capsys.readouterr().out)["arrays"]}
    assert told["half"] == ("F16", 4)
    assert told["bfloat16"] == ("BF16", 4)
    assert told["a"] == ("F32", 24)


def test_a_file_of_pytorch_is_converted_array_by_array(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "model.safetensors"
    assert main(["convert", str(DATA / "state_dict.pt"), str(target)]) == 0
    assert capsys.readouterr().out == f"{target}: {target.stat().st_size:,} bytes\n"
    expected = nn.load_torch(DATA / "state_dict.pt")
    for name, array in nn.load_arrays(target).items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("suffix", ["gob", "safetensors"])
def test_a_bar_shows_how_far_a_large_file_is(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tqdm = pytest.importorskip("tqdm")
    monkeypatch.setattr("spago.nn.__main__._LARGE", 1000)
    monkeypatch.setattr(tqdm, "tqdm", partial(tqdm.tqdm, mininterval=0, miniters=1))
    source, target = tmp_path / f"in.{suffix}", tmp_path / ("out" if suffix == "gob" else "out.gob")
    model = nn.BiRNN(nn.LSTM(8, 8), nn.LSTM(8, 8))
    gob.save_model(model, source) if suffix == "gob" else nn.save(model, source)
    main(["convert", str(source), str(target)])
    shown = capsys.readouterr().err
    assert f"in.{suffix}: 100%|" in shown
    assert len(shown.split("\r")) > 5


@pytest.mark.parametrize("name", ["linear_f32.gob", "special_values_f64.gob"])
def test_nothing_is_told_of_small_files_but_what_was_written(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["convert", str(FOLDER / name), str(tmp_path / "out"), "--kind", "*linear.Model"])
    assert capsys.readouterr().err == ""
