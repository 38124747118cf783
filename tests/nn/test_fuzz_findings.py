"""What fuzzing has found, and what it found interesting, stays read or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spago import mat, nn
from spago.mat import FormatError
from spago.nn import gob

FOLDER = Path(__file__).parent / "data" / "fuzz"
READERS: dict[str, list[Callable[[Path], Any]]] = {
    "gob": [gob.load, gob.load_model],
    "matrix": [lambda path: mat.unmarshal(path.read_bytes()), lambda path: mat.read_matrix(path.read_bytes())],
    "checkpoint": [nn.load_arrays, nn.load_torch, nn.load_model],
}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name[:8]}")
def test_an_input_of_the_fuzzer_is_read_or_refused(path: Path) -> None:
    for read in READERS[path.parent.name]:
        try:
            read(path)
        except FormatError as error:
            assert "expected" in str(error)  # noqa: PT017 - some may be read
