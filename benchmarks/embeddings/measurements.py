"""What is measured, in the order in which it is done; each leaves files that the next ones use."""

import importlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import plyvel

from benchmarks.embeddings.processes import Clock, Memory, resident
from spago import optim
from spago.embeddings import LevelDBRepository, Model, export_vectors, import_vectors
from spago.mat import Array

BATCH = 1000
LIMIT: dict[str, Any] = {"write_buffer_size": 64 << 20, "max_file_size": 32 << 20, "block_size": 1024}
LIMIT |= {"bloom_filter_bits": 10, "compression": None, "paranoid_checks": True}


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
    parse_lines(folder)


def write_raw(folder: Path, words: int, size: int) -> None:
    """Write records of the same length with plyvel alone, in the same order, on one processor."""
    shutil.rmtree(folder / "raw", ignore_errors=True)
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    records = [vector.tobytes() + bytes(16) for vector in pool(size)]
    numbers = order(words)
    with Clock() as clock:
        db = plyvel.DB(str(folder / "raw"), create_if_missing=True, **LIMIT)
        for start in range(0, words, 190):
            with db.write_batch() as batch:
                for n in numbers[start : start + 190]:
                    batch.put(b"rwords\0" + word(n).encode(), records[n % len(records)])
        db.close()
    os.sched_setaffinity(0, processors)
    row("  limit: plyvel's write_batch, one processor", words / clock.seconds, "words/s", f"{clock.processor:.1f} s")


def parse_lines(folder: Path, count: int = 20_000) -> None:
    """Read the numbers of some lines with NumPy's own parser, and write nothing."""
    with (folder / "words.txt").open("rb") as file:
        next(file)
        lines = [line.partition(b" ")[2] for line in itertools.islice(file, count)]
    with Clock() as clock:
        for line in lines:
            np.array(line.split(), np.float32)
    row("  limit: np.array(line.split()), parsing alone", len(lines) / clock.seconds, "words/s")


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
        model.get_many([text for batch in few for text in batch])
        timed("look-ups, from the model's cache", model, few, str)
        store = repository.store("words")
        keys = [[text.encode() for text in batch] for batch in batches(words, 200)]
        with Clock() as clock:
            for batch in keys:
                store.get_many(batch)
        row("records of the store, from the page cache", len(keys) * BATCH / clock.seconds, "words/s")
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
        store = repository.store("words")
        store.index_path.unlink(missing_ok=True)
        model = Model(store)
        with Memory() as memory, Clock() as clock:
            model.most_similar(word(1))
        row("most_similar, the first: makes the index", words / clock.seconds, "words/s", f"{clock.seconds:.2f} s")
        # A file of another run may have fewer words.
        (folder / "words.npy").unlink(missing_ok=True)
        export_vectors(store, folder / "words.npy")
        with Memory() as memory:
            ours = least(lambda: model.most_similar(word(1)))
    query = pool(size)[1]

    def one_pass() -> None:
        matrix = np.load(folder / "words.npy", mmap_mode="r")
        for start in range(0, words, 4096):
            block = matrix[start : start + 4096]
            np.max(block @ query / np.sqrt(np.einsum("nd,nd->n", block, block)))

    limit = least(one_pass)
    row("most_similar, later ones", words / ours, "words/s", f"{ours:.2f} s; {memory}")
    row("  limit: one NumPy pass over the same bytes", words / limit, "words/s", f"{limit:.2f} s")


def least(action: Callable[[], object], times: int = 5) -> float:
    """Return the seconds of the fastest of some runs."""
    seconds: list[float] = []
    for _ in range(times):
        with Clock() as clock:
            action()
        seconds.append(clock.seconds)
    return min(seconds)


def in_memory(folder: Path, words: int, size: int) -> None:
    """What all vectors take in memory, as gensim's KeyedVectors have them."""
    keyed_vectors = importlib.import_module("gensim.models").KeyedVectors
    before = resident()[0]
    with Memory() as memory:
        peer = keyed_vectors(size)
        peer.add_vectors([word(n) for n in range(words)], np.tile(pool(size), (-(-words // 5000), 1))[:words])
    row("gensim's KeyedVectors, all in memory", len(peer), "words", f"{memory}; +{resident()[0] - before:.0f} MB then")


MEASUREMENTS: dict[str, Callable[[Path, int, int], None]] = {
    "text": write_text,
    "import": import_text,
    "lookup": look_up,
    "train": train,
    "search": search,
    "memory": in_memory,
}
"""By the names of the command line."""
