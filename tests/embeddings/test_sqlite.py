"""What the SQLite repository adds: files, locks, processes, damage."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spago.embeddings import DamagedStoreError, Model, SQLiteRepository, StoreError, StoreLockedError, check

OPEN = """
import sys
from spago.embeddings import SQLiteRepository
try:
    with SQLiteRepository(sys.argv[1]) as repository:
        print(repository.names())
except OSError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "words.sqlite"


def write(path: Path, count: int = 50) -> None:
    with SQLiteRepository(path) as repository:
        words = [f"w{i}" for i in range(count)]
        Model(repository.store("words"), 30).set_many(words, np.arange(count * 30.0).reshape(count, 30))


def test_what_was_written_is_there_after_reopening(path: Path) -> None:
    write(path)
    with SQLiteRepository(path, sync=True) as repository:
        store = repository.store("words")
        assert len(store) == 50
        assert store.attributes["size"] == 30
        assert Model(store).get_many(["w2"])[0, :2].tolist() == [60, 61]
        assert check(store).ok


def test_another_process_is_kept_out_and_told_why(path: Path) -> None:
    with SQLiteRepository(path) as one:
        with SQLiteRepository(path) as other:
            one.store("a").put(b"1", b"x")
            assert other.store("a").get(b"1") == b"x"
        output = subprocess.run([sys.executable, "-c", OPEN, path], capture_output=True, text=True, check=True).stdout
        assert output.startswith(f"StoreLockedError {path}: expected a store that no other process has open")
        assert str(path) + "-lock" in output
    with SQLiteRepository(path) as again:
        assert again.names() == ["a"]
    assert issubclass(StoreLockedError, StoreError)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_refused_and_harms_nothing(path: Path) -> None:
    with SQLiteRepository(path) as repository:
        store = repository.store("a")
        store.put(b"1", b"x")
        child = os.fork()
        if child == 0:
            try:
                store.put(b"2", b"y")
            except StoreError as error:
                os._exit(7 if "open stores after the fork" in str(error) else 8)
            os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        store.put(b"3", b"z")
        assert list(store.keys()) == [b"1", b"3"]


def test_a_lost_log_is_noticed(path: Path, tmp_path: Path) -> None:
    with SQLiteRepository(path) as repository:
        repository.store("a").put(b"1", b"x")
        repository.open_database().db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        copy = tmp_path / "copy.sqlite"
        shutil.copy(path, copy)
        for i in range(5):
            repository.store("a").put(b"%d" % i, b"y")
        shutil.copy(f"{path}-sequence", f"{copy}-sequence")
    with pytest.raises(
        DamagedStoreError, match=r"expected 6 batches, got 1: the last are lost; was the file copy.sqlite"
    ):
        SQLiteRepository(copy)


def test_other_files_are_left_alone(tmp_path: Path, path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not a database" * 100)
    with pytest.raises(DamagedStoreError, match="expected a whole SQLite database, got: file is not a database"):
        SQLiteRepository(text)
    assert text.read_text() == "not a database" * 100
    with pytest.raises(StoreError, match="expected a file, got a folder"):
        SQLiteRepository(tmp_path)
    with pytest.raises(StoreError, match="expected a store, found none; is the path right"):
        SQLiteRepository(path, read_only=True)
    assert not path.exists()


def test_a_full_disk_is_told_and_the_store_goes_on(path: Path) -> None:
    with SQLiteRepository(path) as repository:
        store = repository.store("a")
        store.put(b"1", b"x")
        db = repository.open_database().db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + 2}")
        before = len(store), store.version, store.attributes
        with pytest.raises(StoreError, match="expected SQLite to read and write, got: database or disk is full"):
            store.put_many([(b"%d" % i, bytes(5000)) for i in range(2, 50)])
        assert (len(store), store.version, store.attributes) == before
        assert list(store.items()) == [(b"1", b"x")]
        db.execute("PRAGMA max_page_count = 100000")
        store.put_many([(b"%d" % i, bytes(5000)) for i in range(2, 50)])
        assert len(store) == 49


def test_flipped_bits_give_errors_or_the_right_numbers(path: Path) -> None:
    write(path, 200)
    whole = path.read_bytes()
    expected = np.arange(200 * 30.0).reshape(200, 30)
    rng = np.random.default_rng(1)
    noticed = 0
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            with SQLiteRepository(path) as repository:
                store = repository.store("words")
                found = {key: Model(store).get(key) for key in [f"w{i}" for i in range(200)]}
                ok = check(store).ok
        except (StoreError, ValueError, KeyError):
            noticed += 1
            continue
        right = all(value is not None and (value == expected[int(key[1:])]).all() for key, value in found.items())
        wrong = any(value is not None and (value != expected[int(key[1:])]).any() for key, value in found.items())
        assert not wrong
        assert right or not ok
    assert noticed > 10
