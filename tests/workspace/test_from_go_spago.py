"""The table of names for users of Go Spago: what it promises is there, and what Go Spago has is in it."""

import importlib
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "from_go_spago.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and "Go Spago" not in line[:12]
]
HERE = sorted({name for row in ROWS for name in re.findall(r"`([\w.]+)`", row[1])})

# The functions of ag/operators.go and ag/functions.go, without those that make lists of lists.
OPERATORS = """
    Abs Add AddScalar Affine AppendRows At AtVec BiAffine BiLinear CELU ColView ColViews Concat Cos Div
    DivScalar Dot Dropout DropoutFunc ELU Exp Flatten GELU HardSigmoid HardTanh Identity LeakyReLU Log
    LogSoftmax LogSumExp Max MaxPooling Maximum Mean Min Minimum Mish Mul MulT Neg Pad PositiveELU Pow Prod
    ProdScalar ReLU Reciprocal ReduceMax ReduceMean ReduceSum Reshape ReverseSub RotateR RowView RowViews SELU
    ScalarMax SeparateMatrix SeparateVec SiLU Sigmoid Sin Slice SoftPlus SoftShrink Softmax Softsign SparseMax
    SparseMaxLoss SplitVec Sqrt Square Stack Sub SubScalar Sum Swish SwishB T Tan Tanh Threshold
"""


def test_each_row_has_three_cells() -> None:
    assert len(ROWS) > 100
    assert [row for row in ROWS if len(row) != 3] == []


@pytest.mark.parametrize("name", HERE)
def test_what_is_named_here_exists(name: str) -> None:
    package, *attributes = name.split(".")
    found = importlib.import_module(f"spago.{package}")
    for i, attribute in enumerate(attributes):
        if not hasattr(found, attribute):
            importlib.import_module(f"spago.{'.'.join([package, *attributes[: i + 1]])}")
        found = getattr(found, attribute)


@pytest.mark.parametrize("name", OPERATORS.split())
def test_each_operator_of_go_spago_is_in_the_table(name: str) -> None:
    assert any(re.search(rf"`{name}`", row[0]) for row in ROWS)
