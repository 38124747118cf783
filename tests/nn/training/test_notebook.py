"""What `fit` shows in a notebook: tqdm's bar of widgets, and one of text where these are not installed."""

import json
import warnings
from typing import Any

import pytest

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


def execute(*cells: str) -> list[Any]:
    """Execute a notebook and return the outputs of its last cell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of Jupyter's own
        pytest.importorskip("tqdm")
        pytest.importorskip("ipykernel")
        nbclient, nbformat = map(pytest.importorskip, ("nbclient", "nbformat"))
        code: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
        sources = [code | {"id": f"cell{i}", "source": text.strip()} for i, text in enumerate(cells)]
        text = json.dumps({"cells": sources, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
        notebook = nbformat.reads(text, as_version=4)
        nbclient.NotebookClient(notebook, timeout=120).execute()
    outputs: list[Any] = notebook.cells[-1].outputs
    return outputs


def test_a_notebook_shows_a_bar_of_widgets_for_each_epoch() -> None:
    pytest.importorskip("ipywidgets")
    outputs = execute(FIT)
    assert [output.output_type for output in outputs] == ["display_data", "display_data"]
    for epoch, output in enumerate(outputs, 1):
        assert "application/vnd.jupyter.widget-view+json" in output.data
        shown = output.data["text/plain"]
        assert f"epoch {epoch}/2" in shown


def test_a_notebook_without_widgets_shows_bars_of_text() -> None:
    outputs = execute(WITHOUT_WIDGETS, FIT)
    assert {output.output_type for output in outputs} == {"stream"}
    text = "".join(output.text for output in outputs)
    assert "epoch 1/2: 100%" in text
    assert "epoch 2/2: 100%" in text
    assert "4/4" in text
