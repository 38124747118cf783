"""What `fit` shows in a notebook: tqdm's bar of widgets, and one of text where these are not installed."""

from typing import Any

import pytest

from notebooks import execute

FIT = """
import numpy as np
from spago import losses, nn, optim
from spago.nn import training

model = nn.Linear(2, 1)
batches = [(np.ones((3, 2), np.float32), np.ones((3, 1), np.float32))] * 4
run = training.fit(
    model, lambda model, batch: losses.mse(model(batch[0]), batch[1]), batches, optim.SGD(model, 0.01), epochs=2
)
"""

WITHOUT_WIDGETS = """
import sys, warnings
sys.modules["ipywidgets"] = None
warnings.simplefilter("ignore")  # tqdm recommends them
"""


def outputs_of(*cells: str) -> list[dict[str, Any]]:
    """Execute a notebook and return the outputs of its last cell."""
    for needed in ("tqdm", "nbclient", "ipykernel"):
        pytest.importorskip(needed)
    return execute(cells)[-1]


def test_a_notebook_shows_a_bar_of_widgets_for_each_epoch() -> None:
    pytest.importorskip("ipywidgets")
    outputs = outputs_of(FIT)
    assert [output["output_type"] for output in outputs] == ["display_data", "display_data"]
    for epoch, output in enumerate(outputs, 1):
        assert "application/vnd.jupyter.widget-view+json" in output["data"]
        assert f"epoch {epoch}/2" in "".join(output["data"]["text/plain"])


def test_a_notebook_without_widgets_shows_bars_of_text() -> None:
    outputs = outputs_of(WITHOUT_WIDGETS, FIT)
    assert {output["output_type"] for output in outputs} == {"stream"}
    text = "".join("".join(output["text"]) for output in outputs)
    assert "epoch 1/2: 100%" in text
    assert "epoch 2/2: 100%" in text
    assert "4/4" in text
