"""Say how alike sentences are, or turn the lines of a file into vectors, with the encoder all-MiniLM-L6-v2."""

import argparse
import sys
from pathlib import Path

import numpy as np

from examples.sentence_embeddings.embedder import Embedder

BAD_INPUT = 2  # the exit status for what the user can mend


def main() -> int:
    """Do what the command line asks for, and return the exit status."""
    parser = argparse.ArgumentParser(prog="hatch run embed", description=__doc__)
    parser.add_argument("sentence", nargs="*", help="two sentences or more, whose cosine similarities are printed")
    parser.add_argument("--file", type=Path, help="a text file, one sentence a line, for vectors instead")
    parser.add_argument("--output", type=Path, help="where they go, a .npy file; by default beside the text")
    arguments = parser.parse_args()
    if bool(arguments.file) == bool(arguments.sentence):
        parser.error("expected sentences or --file")
    try:
        if arguments.file:
            embed_file(arguments.file, arguments.output or arguments.file.with_suffix(".npy"))
        else:
            print(similarities(arguments.sentence))
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def similarities(sentences: list[str]) -> str:
    """Return the cosine of each pair of sentences as a table."""
    vectors = Embedder().embed(sentences)
    rows = [[f"{cosine:6.3f}" for cosine in row] for row in vectors @ vectors.T]
    header = "".join(f"{f'[{i + 1}]':>7}" for i in range(len(sentences)))
    lines = [
        f"{' '.join(row)}  [{i + 1}] {sentence}" for i, (row, sentence) in enumerate(zip(rows, sentences, strict=True))
    ]
    return "\n".join([header, *lines])


def embed_file(text: Path, output: Path) -> None:
    """Write the vectors of the lines of a text, shape (N, 384), to a .npy file."""
    from tqdm import tqdm

    sentences = text.read_text(encoding="utf-8").splitlines()
    vectors = Embedder().embed(sentences, lambda batches: tqdm(batches, desc=text.name, unit="batch"))
    with output.open("wb") as file:
        np.save(file, vectors)
    print(f"{output}: {len(vectors):,} vectors of {vectors.shape[1]} numbers")


if __name__ == "__main__":
    sys.exit(main())
