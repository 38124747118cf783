"""The tagger of examples/tagger beside the same network in PyTorch: which learns better, which is faster?

Both get the same sentences in the same batches and start from the same weights; only the masks of dropout differ.

    hatch run bench:tagger --seeds 3
"""

import argparse
import os
from dataclasses import replace

# NumPy and PyTorch read these when they are first imported, so that everything else is imported later.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> None:
    """Train each side once for each seed, one after the other, and print a line for each training."""
    arguments = parse_arguments()
    for variable in THREADS:
        os.environ[variable] = str(arguments.threads)
    from benchmarks.tagger import our_training, twin_training
    from benchmarks.tagger.result import HEADER, mean_row, row
    from benchmarks.tagger.weights import initial_weights
    from examples.tagger.data import Vocabulary
    from examples.tagger.settings import Settings
    from examples.tagger.treebank import load_treebank

    settings = Settings()
    if arguments.epochs:
        settings = replace(settings, epochs=arguments.epochs)
    parts = load_treebank()
    vocabulary = Vocabulary.of(parts.train)
    print(f"{settings}\n{arguments.threads} threads\n\n{HEADER}")
    sides = [our_training.run, twin_training.run]
    results = []
    for seed in range(1, arguments.seeds + 1):
        weights = initial_weights(vocabulary, settings, seed)
        for run in sides:
            results.append(run(parts, vocabulary, settings, weights, seed))
            print(row(results[-1]), flush=True)
    for i in range(len(sides)):
        print(mean_row(results[i :: len(sides)]))


def parse_arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tagger", description=summary)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each side (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="passes over the training sentences (default: as the example)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="processors to use (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
