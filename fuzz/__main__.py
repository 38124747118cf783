"""Feed a reader with inputs that libFuzzer makes of good files; anything but FormatError is a finding.

What was interesting is kept in build/fuzz/READER/corpus and is where the next run starts. A finding is written to
build/fuzz/READER/findings, and belongs into tests/nn/data/fuzz, whose files the tests read.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["spago.mat", "spago.nn"]):
    from spago import mat, nn
    from spago.mat import FormatError
    from spago.nn import gob

ROOT = Path(__file__).parent.parent
GOB = ROOT / "tests" / "golden" / "data" / "gob"
DATA = ROOT / "tests" / "nn" / "data"

# Where there is room in memory: a file is written for each input.
_FILE = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)) / "input"


def read_gob(data: bytes) -> None:
    """All that reads gob; what was read as data is also written, and read again."""
    for kind in (None, "*linear.Model", "*lstm.Model", "*crf.Model"):
        try:
            value = gob.loads(data, kind)
        except FormatError:
            continue
        try:
            again = gob.dumps(value)
        except ValueError:
            continue
        gob.loads(again)
    try:
        gob.loads_model(data)
    except FormatError:
        return


def read_matrix(data: bytes) -> None:
    """The binary layouts of matrices."""
    for read in (mat.unmarshal, mat.unmarshal_matrix, mat.read_matrix):
        try:
            read(data)
        except FormatError:
            continue


def read_checkpoint(data: bytes) -> None:
    """Files of safetensors and of PyTorch, and indexes of several files."""
    _FILE.write_bytes(data)
    for read in (nn.load_arrays, nn.load_torch, nn.load_model):
        try:
            read(_FILE)
        except FormatError:
            continue
    index = _FILE.with_suffix(".json")
    index.write_bytes(data)
    try:
        nn.load(nn.Linear(1, 1), index, strict=False)
    except (FormatError, FileNotFoundError, IsADirectoryError, ValueError):
        return


def _matrices() -> Iterable[bytes]:
    import numpy as np  # noqa: PLC0415 - only here

    for dtype in (np.float32, np.float64):
        for shape in ((2, 3), (1, 1), (0, 4)):
            yield mat.marshal(np.ones(shape, dtype))
            yield mat.marshal_matrix(np.ones(shape, dtype))


def _checkpoints() -> Iterable[bytes]:
    yield from (path.read_bytes() for path in sorted(DATA.glob("*.pt")))
    for model in (nn.Linear(2, 3), nn.LSTM(1, 1), nn.Sequential(nn.Linear(1, 1), nn.Dropout())):
        nn.save(model, _FILE)
        yield _FILE.read_bytes()
    yield b'{"metadata": {}, "weight_map": {"weight": "model-00001-of-00001.safetensors"}}'


READERS: dict[str, tuple[Callable[[bytes], None], Callable[[], Iterable[bytes]]]] = {
    "gob": (read_gob, lambda: (path.read_bytes() for path in sorted(GOB.rglob("*.gob")))),
    "matrix": (read_matrix, _matrices),
    "checkpoint": (read_checkpoint, _checkpoints),
}


def main() -> None:
    """Run one reader for some minutes."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--minutes", type=float, default=20)
    given = parser.parse_args()
    read, seeds = READERS[given.reader]
    folder = ROOT / "build" / "fuzz" / given.reader
    for name in ("corpus", "findings"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (folder / "corpus" / f"seed-{number}").write_bytes(seed)
    limits = ["-max_len=8192", "-timeout=5", "-rss_limit_mb=2048", f"-max_total_time={int(60 * given.minutes)}"]
    output = [f"-artifact_prefix={folder / 'findings'}/", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, *output, str(folder / "corpus")], read)
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(_FILE.parent, ignore_errors=True)


if __name__ == "__main__":
    main()
