"""Our safetensors files and those of the library with PyTorch's tensors, which NumPy has not all of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spago import nn

torch = pytest.importorskip("torch")
library = pytest.importorskip("safetensors.torch")

DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
# All that a bfloat16 can be, as float32: infinities, nan, numbers below the normal ones, both zeros.
EVERY_BFLOAT16 = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)


@pytest.mark.parametrize("memory_map", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_of_all_dtypes_are_read(tmp_path: Path, dtype: str, memory_map: bool) -> None:
    x = (torch.randn(3, 4, 5) * 3).to(getattr(torch, dtype))
    library.save_file({"x": x, "empty": x[:0].clone(), "number": x[0, 0, 0].clone()}, tmp_path / "file")
    read = nn.load_arrays(tmp_path / "file", memory_map=memory_map)
    expected = x.float() if dtype in ("float16", "bfloat16") else x
    assert read["x"].dtype == expected.numpy().dtype
    np.testing.assert_array_equal(read["x"], expected.numpy())
    assert read["empty"].shape == (0, 4, 5)
    assert read["number"].shape == ()


@pytest.mark.parametrize("memory_map", [False, True])
def test_every_bfloat16_is_read_as_pytorch_widens_it(tmp_path: Path, memory_map: bool) -> None:
    library.save_file({"x": EVERY_BFLOAT16}, tmp_path / "file")
    torch.save({"x": EVERY_BFLOAT16}, tmp_path / "file.pt")
    expected = EVERY_BFLOAT16.float().numpy().view(np.uint32)
    for read in (nn.load_arrays(tmp_path / "file", memory_map=memory_map), nn.load_torch(tmp_path / "file.pt")):
        np.testing.assert_array_equal(read["x"].view(np.uint32), expected)


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_model_of_half_precision_computes_in_float32(tmp_path: Path, dtype: str, suffix: str) -> None:
    theirs = torch.nn.Linear(5, 3).to(getattr(torch, dtype))
    path = tmp_path / f"model.{suffix}"
    (library.save_file if suffix == "safetensors" else torch.save)(theirs.state_dict(), path)
    ours = nn.Linear(5, 3)
    nn.load(ours, path)
    x = torch.randn(2, 5)
    expected = theirs.float()(x).detach().numpy()
    np.testing.assert_allclose(ours(x.numpy()).value, expected, rtol=1e-6, atol=1e-6)


def test_the_library_reads_what_we_write(tmp_path: Path) -> None:
    model = nn.LSTM(3, 4)
    nn.save(model, tmp_path / "file", {"note": "ünïcode"})
    state = library.load_file(tmp_path / "file")
    assert state.keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(state[name].numpy(), value)
