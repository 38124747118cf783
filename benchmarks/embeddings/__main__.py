"""A store of a million words of 300 numbers: import, look-ups, training, neighbours, and the memory they take.

    hatch run bench:embeddings --words 1000000 --folder build/bench

Beside each figure stands its limit: what plyvel does with records of the same length, or NumPy with the same bytes.
"""

import argparse
import os
import sys
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read by NumPy when it is first imported


def main() -> int:
    """Run the measurements that were asked for, each in a process of its own."""
    arguments = parse_arguments()
    from benchmarks.embeddings.measurements import MEASUREMENTS
    from benchmarks.embeddings.processes import in_a_process

    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(f"{arguments.words:,} words of {arguments.size} float32 numbers, one thread of NumPy\n", flush=True)
    chosen = arguments.only or list(MEASUREMENTS)
    for name in chosen:
        in_a_process(MEASUREMENTS[name], arguments.folder, arguments.words, arguments.size)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    from benchmarks.embeddings.measurements import MEASUREMENTS

    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embeddings", description=summary)
    parser.add_argument("--words", type=int, default=1_000_000, help="(default: %(default)s)")
    parser.add_argument("--size", type=int, default=300, help="numbers of a vector (default: %(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=Path("build") / "bench", help="about 11 GB (default: %(default)s)"
    )
    parser.add_argument("--only", action="append", choices=list(MEASUREMENTS), help="may be repeated; in this order")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
