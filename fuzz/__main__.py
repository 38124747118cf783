"""Feed a reader with inputs that libFuzzer makes of good files; anything but FormatError, and soon, is a finding.

What was interesting is kept in build/fuzz/READER/corpus and is where the next run starts. A finding is written to
build/fuzz/READER/findings, and belongs into tests/nn/data/fuzz, whose files the tests read.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["spago.mat", "spago.nn"]):
    from spago import ag, mat, nn
    from spago.mat import FormatError
    from spago.nn import gob

ROOT = Path(__file__).parent.parent
SECONDS = 1.0
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
    except ValueError:  # a sound index of other parameters
        return


def _matrices() -> Iterable[bytes]:
    import numpy as np  # noqa: PLC0415 - only here

    for dtype in (np.float32, np.float64):
        for shape in ((2, 3), (1, 1), (0, 4)):
            yield mat.marshal(np.ones(shape, dtype))
            yield mat.marshal_matrix(np.ones(shape, dtype))


def _gobs() -> Iterable[bytes]:
    yield from (path.read_bytes() for path in sorted(GOB.rglob("*.gob")))
    for model in (  # of which there are no files of Go
        nn.SRNN(1, 2, 1, hyper_size=1),
        nn.GMLP(2, 1, 1, ff_mult=1, activation=ag.tanh),
        nn.MixerBlock(1, 1, token_hidden=1, channel_hidden=1, token_activation=ag.relu, channel_activation=ag.relu),
        nn.Activation("leaky_relu"),
        nn.MaxPool2d(2),
    ):
        yield gob.dumps_model(model)


def _without_checksums(archive: bytes) -> bytes:
    """An archive of PyTorch whose bytes may be changed: 0 for all checksums means that there are none."""
    data = bytearray(archive)
    at = data.find(b"PK\1\2")
    while at >= 0:
        data[at + 16 : at + 20] = bytes(4)
        at = data.find(b"PK\1\2", at + 4)
    return bytes(data)


def _checkpoints() -> Iterable[bytes]:
    yield from (_without_checksums(path.read_bytes()) for path in sorted(DATA.glob("*.pt")))
    for model in (nn.Linear(2, 3), nn.LSTM(1, 1), nn.Sequential(nn.Linear(1, 1), nn.Dropout())):
        nn.save(model, _FILE)
        yield _FILE.read_bytes()
    yield b'{"metadata": {}, "weight_map": {"weight": "model-00001-of-00001.safetensors"}}'


READERS: dict[str, tuple[Callable[[bytes], None], Callable[[], Iterable[bytes]]]] = {
    "gob": (read_gob, _gobs),
    "matrix": (read_matrix, _matrices),
    "checkpoint": (read_checkpoint, _checkpoints),
}


def in_time(read: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """The same reader, which also fails when it takes too long: of its own time, not of that of a busy machine."""

    def timed(data: bytes) -> None:
        start = time.process_time()
        read(data)
        if time.process_time() - start > SECONDS:
            raise TimeoutError(f"expected at most {SECONDS} s for {len(data)} bytes")

    return timed


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
    limits = ["-max_len=8192", "-timeout=300", "-rss_limit_mb=2048", f"-max_total_time={int(60 * given.minutes)}"]
    output = [f"-artifact_prefix={folder / 'findings'}/", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, *output, str(folder / "corpus")], in_time(read))
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(_FILE.parent, ignore_errors=True)


if __name__ == "__main__":
    main()
