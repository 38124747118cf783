"""Notebooks, executed as Jupyter does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

# In a process of its own, whose warnings and open sockets are no concern of the tests.
EXECUTE = """
import json, sys
import nbclient, nbformat
notebook = nbformat.reads(sys.stdin.read(), as_version=4)
nbclient.NotebookClient(notebook, timeout=120).execute()
print(json.dumps([cell.outputs for cell in notebook.cells]))
"""


def execute(sources: Iterable[str]) -> list[list[dict[str, Any]]]:
    """Execute cells of code, and return the outputs of each."""
    code: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    cells = [code | {"id": f"cell{i}", "source": source.strip()} for i, source in enumerate(sources)]
    notebook = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    command = [sys.executable, "-W", "ignore", "-c", EXECUTE]
    done = subprocess.run(command, input=notebook, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    outputs: list[list[dict[str, Any]]] = json.loads(done.stdout)
    return outputs
