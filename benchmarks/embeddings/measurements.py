"""What is measured, in the order in which it is done; each leaves files that the next ones use."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import plyvel

from benchmarks.embeddings.processes import Clock, Memory
from spago import optim
from spago.embeddings import LevelDBRepository, Model, export_vectors, import_vectors
from spago.mat import Array

BATCH = 1000
LIMIT = {"write_buffer_size": 32 << 20, "max_file_size": 16 << 20, "block_size": 1024, "bloom_filter_bits": 10}


def word(number: int) -> str:
    """Return the text of a word."""
    return f"word{number:07d}"


def pool(size: int) -> Array:
    """Return the vectors that words take turns to have."""
    values: Array = (np.random.default_rng(0).normal(size=(5000, size)) * 0.2).astype(np.float32)
    return values


def order(words: int) -> list[int]:
    """Return the words in the order of the file, which is not that of their bytes."""
    numbers: list[int] = np.random.default_rng(1).permutation(words).tolist()
    return numbers


def row(name: str, rate: float, unit: str, beside: str = "") -> None:
    """Print one line of the table."""
    print(f"{name:44} {rate:>12,.0f} {unit:10} {beside}", flush=True)


def write_text(folder: Path, words: int, size: int) -> None:
    """Make the text file that is imported, as word2vec writes it: six decimals."""
    lines = [b" ".join(b"%.6f" % number for number in vector) + b"\n" for vector in pool(size).tolist()]
    with (folder / "words.txt").open("wb", buffering=1 << 20) as file:
        file.write(b"%d %d\n" % (words, size))
        file.writelines(word(n).encode() + b" " + lines[n % len(lines)] for n in order(words))


def import_text(folder: Path, words: int, size: int) -> None:
    """Text to LevelDB, on one processor and on all; the limit is plyvel's write_batch with records of that length."""
    processors = os.sched_getaffinity(0)
    for name, chosen in (("one processor", {min(processors)}), ("all processors", processors)):
        shutil.rmtree(folder / "store", ignore_errors=True)
        os.sched_setaffinity(0, chosen)
        with Memory() as memory, Clock() as clock, LevelDBRepository(folder / "store") as repository:
            import_vectors(folder / "words.txt", repository.store("words"))
        row(
            f"import of text, {name}",
            words / clock.seconds,
            "words/s",
            f"{clock.processor:.1f} s of processor; {memory}",
        )
    write_raw(folder, words, size)


def write_raw(folder: Path, words: int, size: int) -> None:
    """Write records of the same length with plyvel alone, in the same order."""
    shutil.rmtree(folder / "raw", ignore_errors=True)
    records = [vector.tobytes() + bytes(16) for vector in pool(size)]
    numbers = order(words)
    with Clock() as clock:
        db = plyvel.DB(str(folder / "raw"), create_if_missing=True, compression=None, **LIMIT)
        for start in range(0, words, 190):
            with db.write_batch() as batch:
                for n in numbers[start : start + 190]:
                    batch.put(b"rwords\0" + word(n).encode(), records[n % len(records)])
        db.close()
    row("  limit: plyvel's write_batch", words / clock.seconds, "words/s", f"{clock.processor:.1f} s of processor")


def batches(words: int, count: int) -> Iterator[list[str]]:
    """Yield batches of different words, drawn at random."""
    rng = np.random.default_rng(2)
    for _ in range(count):
        yield [word(n) for n in np.unique(rng.integers(0, words, BATCH * 11 // 10))[:BATCH].tolist()]


def look_up(folder: Path, words: int, size: int) -> None:
    """Look random words up, all over the store: from the disk, from the page cache, and from the model's cache."""
    drop_pages(folder)
    before = bytes_read()
    with LevelDBRepository(folder / "store", read_only=True) as repository:
        with Memory() as memory:
            model = Model(repository.store("words"))
            timed(
                "look-ups, cold",
                model,
                batches(words, 20),
                lambda: f"{(bytes_read() - before) / 20_000:,.0f} bytes read a word",
            )
            for _ in repository.store("words").items():  # fills the page cache
                pass
            timed("look-ups, from the page cache", model, batches(words, 200), lambda: str(memory))
        few = list(batches(words, 20))
        timed("look-ups, first of 20 batches", model, few, str)
        timed("look-ups, again: from the model's cache", model, few, str)
    db = plyvel.DB(str(folder / "raw"), **LIMIT)
    total = 0
    keys = [[b"rwords\0" + text.encode() for text in batch] for batch in batches(words, 100)]
    for _ in db.iterator():
        pass
    with Clock() as clock:
        for batch in keys:
            total += sum(len(db.get(key, verify_checksums=True)) for key in batch)
    row("  limit: plyvel's get, verified", len(keys) * BATCH / clock.seconds, "words/s")
    db.close()


def timed(name: str, model: Model, asked: Iterator[list[str]] | list[list[str]], beside: Callable[[], str]) -> None:
    """Look batches up and print how many words a second."""
    drawn = list(asked)
    with Clock() as clock:
        for batch in drawn:
            model.get_many(batch)
    row(name, sum(map(len, drawn)) / clock.seconds, "words/s", beside() if beside is not str else "")


def drop_pages(folder: Path) -> None:
    """Let the system forget the pages of the files in a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def bytes_read() -> int:
    """Return how many bytes this process has had read from the disk."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["read_bytes"])


def train(folder: Path, words: int, size: int) -> None:
    """Steps over 1,000 different words each: look up, backward, Adam, write back."""
    shutil.rmtree(folder / "trained", ignore_errors=True)
    shutil.copytree(folder / "store", folder / "trained")
    with LevelDBRepository(folder / "trained") as repository:
        model = Model(repository.store("words"))
        optimizer = optim.Adam(model, 1e-3)
        for title, drawn in (
            ("new words each", list(batches(words, 100))),
            ("the same words", list(batches(words, 1)) * 100),
        ):
            with Memory() as memory, Clock() as clock:
                for batch in drawn:
                    (model.embed_many(batch) * 0.5).backward()
                    optimizer.step()
            row(f"training steps, Adam, {title}", len(drawn) * BATCH / clock.seconds, "words/s", str(memory))
    drawn = list(batches(words, 100))
    record = bytes(3 * 4 * size + 40)
    db = plyvel.DB(str(folder / "raw"), **LIMIT)
    with Clock() as clock:
        for batch in drawn:
            keys = [b"rwords\0" + text.encode() for text in batch]
            for key in keys:
                db.get(key, verify_checksums=True)
            with db.write_batch() as writing:
                for key in keys:
                    writing.put(key, record)
    row("  limit: plyvel's get and write_batch", len(drawn) * BATCH / clock.seconds, "words/s")
    db.close()


def search(folder: Path, words: int, size: int) -> None:
    """Ask for neighbours among all words; the limit is one NumPy pass over the same numbers in a file."""
    with LevelDBRepository(folder / "store", read_only=True) as repository:
        model = Model(repository.store("words"))
        model.most_similar(word(1))
        with Memory() as memory, Clock() as clock:
            model.most_similar(word(1))
        ours = clock.seconds
        export_vectors(repository.store("words"), folder / "words.npy")
    query = pool(size)[1]
    for _ in range(2):
        with Clock() as clock:
            matrix = np.load(folder / "words.npy", mmap_mode="r")
            for start in range(0, words, 4096):
                block = matrix[start : start + 4096]
                np.max(block @ query / np.sqrt(np.einsum("nd,nd->n", block, block)))
    row("most_similar over all words", words / ours, "words/s", f"{ours:.2f} s; {memory}")
    row("  limit: one NumPy pass over the same bytes", words / clock.seconds, "words/s", f"{clock.seconds:.2f} s")


def in_memory(folder: Path, words: int, size: int) -> None:
    """What all vectors take in memory, as gensim's KeyedVectors have them: an array, a list and a dictionary."""
    with Memory() as memory:
        vectors = np.tile(pool(size), (-(-words // 5000), 1))[:words]
        index_to_key = [word(n) for n in range(words)]
        key_to_index = {text: n for n, text in enumerate(index_to_key)}
    row("all vectors in memory", min(len(key_to_index), len(vectors)), "words", str(memory))


MEASUREMENTS: dict[str, Callable[[Path, int, int], None]] = {
    "text": write_text,
    "import": import_text,
    "lookup": look_up,
    "train": train,
    "search": search,
    "memory": in_memory,
}
"""By the names of the command line."""
