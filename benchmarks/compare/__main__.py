"""spago beside its peers: how long does the same work take, all sides in one run?

    hatch run bench:compare --only lstm --json lstm.json

For each workload all sides must first give the same numbers, values and gradients; then they are timed in turns. A
workload is a file of `workloads/`, a peer a function of `peers.py`.
"""

import argparse
import os
import sys
from pathlib import Path

# NumPy and PyTorch read these when they are first imported, so that everything else is imported later.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def main() -> int:
    """Run the workloads that were asked for, print a line for each side, and return 1 where numbers differ."""
    arguments = parse_arguments()
    for variable in THREADS:
        os.environ[variable] = str(arguments.threads)
    from benchmarks.compare.comparison import compare
    from benchmarks.compare.peers import start_peers
    from benchmarks.compare.report import circumstances, heading, lines, write_json
    from benchmarks.compare.timing import Effort
    from benchmarks.compare.workload import load_workloads, selected

    chosen = selected(load_workloads(), arguments.only, quick=arguments.quick, large=arguments.large)
    if arguments.list:
        print(*(title for title, *_ in chosen), sep="\n")
        return 0
    peers, missing = start_peers(arguments.threads)
    effort = Effort.quick() if arguments.quick else Effort()
    about = circumstances(peers, arguments.threads, effort)
    print(heading(about, missing), flush=True)
    comparisons = []
    for _, workload, case in chosen:
        comparisons.append(compare(workload, case, peers, effort))
        print(*lines(comparisons[-1]), sep="\n", flush=True)
    if arguments.json:
        write_json(arguments.json, about, comparisons)
    return int(any(comparison.differences for comparison in comparisons))


def parse_arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=summary)
    parser.add_argument("--only", metavar="PATTERN", default="", help="a regular expression that titles must have")
    parser.add_argument("--quick", action="store_true", help="the first case of each workload, and few rounds")
    parser.add_argument("--large", action="store_true", help="also the cases that take minutes")
    parser.add_argument("--list", action="store_true", help="print the titles and stop")
    parser.add_argument("--threads", type=int, default=1, help="of every side (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write what was measured to this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
