"""Files that PyTorch writes here and now are read without it, whatever it writes them with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spago import nn

torch = pytest.importorskip("torch")

DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_tensors_of_all_dtypes_and_layouts(tmp_path: Path, dtype: str, protocol: int) -> None:
    x = (torch.arange(24).reshape(2, 3, 4) % 3).to(getattr(torch, dtype))
    saved = {
        "x": x,
        "transposed": x.T if x.ndim == 2 else x.permute(2, 0, 1),
        "part": x[1, :, ::2],
        "number": x[0, 0, 1],
    }
    torch.save(saved, tmp_path / "file", pickle_protocol=protocol)
    read = nn.load_torch(tmp_path / "file")
    for name, tensor in saved.items():
        wide = tensor.float() if dtype in ("float16", "bfloat16") else tensor
        assert read[name].dtype == wide.numpy().dtype
        np.testing.assert_array_equal(read[name], wide.numpy())


def test_a_training_state_with_its_optimizer(tmp_path: Path) -> None:
    model = torch.nn.LSTM(3, 4)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 3))[0].sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, tmp_path / "file")
    read: Any = nn.load_torch(tmp_path / "file")
    assert read["epoch"] == 3
    assert read["optimizer"]["param_groups"][0]["betas"] == (0.9, 0.999)
    np.testing.assert_array_equal(
        read["optimizer"]["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"]
    )
    ours = nn.LSTM(3, 4)
    nn.from_torch(ours, read["model"])
    np.testing.assert_array_equal(ours.weight_ih.value, model.weight_ih_l0.detach())


def test_a_large_file_of_many_tensors(tmp_path: Path) -> None:
    state = {f"layer.{i}.weight": torch.randn(50, 60) for i in range(500)}
    torch.save(state, tmp_path / "file")
    read = nn.load_torch(tmp_path / "file")
    assert read.keys() == state.keys()
    np.testing.assert_array_equal(read["layer.499.weight"], state["layer.499.weight"])


def test_a_whole_model_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "file")
    with pytest.raises(ValueError, match=r"expected at byte .* 'torch\.nn\.modules\.linear\.Linear'"):
        nn.load_torch(tmp_path / "file")
