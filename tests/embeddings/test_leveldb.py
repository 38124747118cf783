"""What the LevelDB repository adds: files, locks, processes, damage."""

from __future__ import annotations

import gc
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spago.embeddings import (
    DamagedRecordError,
    DamagedStoreError,
    LevelDBRepository,
    Model,
    StoreError,
    StoreLockedError,
    check,
    repair,
)
from spago.mat.addons import require

# The suite does a few dozen trials; set the variable for a long run.
TRIALS = int(os.environ.get("SPAGO_DAMAGE_TRIALS", "60"))


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "words"


def test_what_was_written_is_there_after_reopening(path: Path) -> None:
    with LevelDBRepository(path) as repository:
        repository.store("a").put_many([(b"1", b"x"), (b"2", b"y")])
        repository.store("a").set_attributes({"size": 2})
    with LevelDBRepository(path) as repository:
        store = repository.store("a")
        assert list(store.items()) == [(b"1", b"x"), (b"2", b"y")]
        assert len(store) == 2
        assert store.attributes == {"size": 2}


def test_waiting_for_the_disk_changes_no_result(path: Path) -> None:
    with LevelDBRepository(path, sync=True) as repository:
        repository.store("a").put(b"1", b"x")
    with LevelDBRepository(path) as repository:
        assert repository.store("a").get(b"1") == b"x"


def test_one_process_may_open_a_folder_twice_by_any_path(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    with LevelDBRepository(path) as one:
        with LevelDBRepository(link, read_only=False) as other:
            one.store("a").put(b"1", b"x")
            assert other.store("a").get(b"1") == b"x"
        assert one.store("a").get(b"1") == b"x"
        assert python(OPEN, path).stdout.startswith("StoreLockedError")


OPEN = """
import sys
from spago.embeddings import LevelDBRepository
try:
    with LevelDBRepository(sys.argv[1]) as repository:
        print(repository.names())
except OSError as error:
    print(type(error).__name__, error)
"""


def test_another_process_gets_one_clear_message(path: Path) -> None:
    with LevelDBRepository(path) as repository:
        repository.store("a").put(b"1", b"x")
        said = python(OPEN, path)
        # The failed attempt has not taken the lock away.
        again = python(OPEN, path)
    assert said.stdout == again.stdout
    assert said.stdout.strip() == (
        f"StoreLockedError {path}: expected a store that no other process has open, got one whose lock is held "
        f"({path / 'LOCK'}); close it there first"
    )
    assert said.stderr == ""
    assert python(OPEN, path).stdout == "['a']\n"


def test_a_store_that_another_process_holds_is_refused_here(path: Path) -> None:
    code = "import sys; from spago.embeddings import *; r = LevelDBRepository(sys.argv[1]); print('open'); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    with pytest.raises(StoreLockedError, match="expected a store that no other process has open"):
        LevelDBRepository(path)
    with pytest.raises(StoreLockedError, match="expected a store that no other process has open"):
        repair(path)
    holder.communicate("\n")
    LevelDBRepository(path).close()


def test_a_forgotten_repository_gives_the_lock_back(path: Path) -> None:
    store = LevelDBRepository(path).store("a")
    store.put(b"1", b"x")
    assert python(OPEN, path).stdout.startswith("StoreLockedError")
    del store
    gc.collect()
    assert python(OPEN, path).stdout == "['a']\n"


FORK = """
import os, sys, warnings
from spago.embeddings import LevelDBRepository
repository = LevelDBRepository(sys.argv[1])
store = repository.store("a")
store.put(b"1", b"x")
child = os.fork()
if not child:
    for use in (lambda: store.put(b"1", b"y"), lambda: store.get(b"1"), lambda: len(store), lambda: list(store.keys()),
                lambda: repository.store("b"), lambda: LevelDBRepository(sys.argv[1])):
        try:
            use()
        except OSError as error:
            print(type(error).__name__, error)
    repository.close()
    sys.exit(7)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
store.put(b"2", b"z")
print(status, dict(store.items()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_cannot_touch_the_store(path: Path) -> None:
    done = python(FORK, path)
    *child, parent = done.stdout.splitlines()
    assert parent == "7 {b'1': b'x', b'2': b'z'}"
    assert len(child) == 6
    assert all("expected to be used in process" in line and "open stores after the fork" in line for line in child[:5])
    assert child[5].startswith("StoreLockedError")
    assert done.stderr == ""
    with LevelDBRepository(path) as repository:
        assert len(repository.store("a")) == 2


def test_reading_what_does_not_exist_leaves_no_folder(path: Path) -> None:
    for options in ({"read_only": True}, {"create": False}):
        with pytest.raises(StoreError, match=r"words: expected a store, found none; is the path right\?"):
            LevelDBRepository(path, **options)
    assert not path.exists()


def test_a_read_only_repository_writes_nothing(path: Path) -> None:
    with LevelDBRepository(path) as repository:
        repository.store("a").put(b"1", b"x")
    with LevelDBRepository(path, read_only=True) as repository:
        store = repository.store("a")
        assert store.read_only
        assert store.get(b"1") == b"x"
        with pytest.raises(StoreError, match="expected a writable store"):
            store.put(b"1", b"y")
        with pytest.raises(StoreError, match="expected a writable store"):
            repository.drop("a")


def test_other_folders_and_files_are_left_alone(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match="expected an empty folder or a store, got other files"):
        LevelDBRepository(path)
    assert [file.name for file in path.iterdir()] == ["thesis.txt"]
    with pytest.raises(StoreError, match="expected a folder, got a file"):
        LevelDBRepository(path / "thesis.txt")


def test_a_database_of_another_program_is_refused(path: Path) -> None:
    plyvel = require("plyvel", "plyvel_next", install="spago-embeddings", purpose="this test")
    with plyvel.DB(str(path), create_if_missing=True) as db:
        db.put(b"a", b"1")
    with pytest.raises(DamagedStoreError, match="got another LevelDB database"):
        LevelDBRepository(path)


def test_an_interrupted_making_is_taken_up(path: Path) -> None:
    LevelDBRepository(path).close()
    (path / "CURRENT").unlink()
    (path / "SEQUENCE").write_bytes(b"")
    with LevelDBRepository(path) as repository:
        repository.store("a").put(b"1", b"x")
    with LevelDBRepository(path) as repository:
        assert repository.store("a").get(b"1") == b"x"


# Damage

WORDS = 400
SIZE = 16


def vector(word: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.random.default_rng(word).normal(size=SIZE).astype(np.float32)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of which one half is in a table and the other in the log."""
    path = tmp_path_factory.mktemp("whole") / "words"
    for start in (0, WORDS // 2):
        with LevelDBRepository(path) as repository:
            model = Model(repository.store("words"), SIZE)
            for first in range(start, start + WORDS // 2, 50):
                words = range(first, first + 50)
                model.set_many([f"word{i}" for i in words], np.stack([vector(i) for i in words]))
    return path


def read_all(path: Path) -> str:
    """Return "right" when all numbers are right, else the name of the error; fail when any number is wrong."""
    try:
        with LevelDBRepository(path, read_only=True) as repository:
            store = repository.store("words")
            model = Model(store)
            vectors = [model.get(f"word{i}") for i in range(WORDS)]
            report = check(store)
    except StoreError as error:
        return type(error).__name__
    for i, found in enumerate(vectors):
        assert found is not None, f"word{i} is missing without a word"
        np.testing.assert_array_equal(found, vector(i))
    assert report.ok, report
    return "right"


def damage(path: Path, rng: random.Random) -> str:
    """Damage one file of the store and return what was done."""
    files = sorted(file for file in path.iterdir() if not file.name.startswith("LO") and file.stat().st_size)
    file = rng.choice(files)
    content = bytearray(file.read_bytes())
    place = rng.randrange(len(content))
    kind = rng.choice(["bit", "bit", "bit", "byte", "cut", "zeros", "gone"])
    if kind == "gone":
        file.unlink()
        return f"{file.name} removed"
    if kind == "bit":
        content[place] ^= 1 << rng.randrange(8)
    elif kind == "byte":
        content[place] ^= rng.randrange(1, 256)
    elif kind == "cut":
        del content[place:]
    else:
        content[place : place + 64] = bytes(len(content[place : place + 64]))
    file.write_bytes(content)
    return f"{file.name} {kind} at {place} of {len(content)}"


def test_damaged_files_give_an_error_or_the_right_numbers(whole: Path, tmp_path: Path) -> None:
    rng = random.Random(20)
    outcomes: dict[str, int] = {}
    for trial in range(TRIALS):
        copy = tmp_path / str(trial)
        shutil.copytree(whole, copy)
        what = damage(copy, rng)
        try:
            outcome = read_all(copy)
        except AssertionError as error:
            raise AssertionError(f"trial {trial}: {what}") from error
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        shutil.rmtree(copy)
    assert outcomes.keys() <= {"right", "DamagedStoreError", "DamagedRecordError", "StoreError"}
    assert sum(outcomes.values()) - outcomes.get("right", 0) > TRIALS // 2


def test_after_any_damage_repair_makes_the_store_usable(whole: Path, tmp_path: Path) -> None:
    rng = random.Random(21)
    for trial in range(TRIALS // 3):
        copy = tmp_path / str(trial)
        shutil.copytree(whole, copy)
        what = damage(copy, rng)
        report = repair(copy)
        with LevelDBRepository(copy) as repository:
            store = repository.store("words")
            assert check(store).ok, what
            assert len(store) == report.stores["words"].found if "words" in report.stores else len(store) == 0
            model = Model(store, SIZE)
            for i in range(WORDS):
                found = model.get(f"word{i}")
                assert found is None or np.array_equal(found, vector(i)), what
            model.set("new", vector(0))
        with LevelDBRepository(copy) as repository:
            assert "new" in Model(repository.store("words"))
        shutil.rmtree(copy)


def test_a_damaged_block_names_the_word(whole: Path, path: Path) -> None:
    shutil.copytree(whole, path)
    table = max(path.glob("*.ldb"), key=lambda file: file.stat().st_size)
    content = bytearray(table.read_bytes())
    content[content.index(vector(150).tobytes()[:8])] ^= 1
    table.write_bytes(content)
    with LevelDBRepository(path) as repository:
        store = repository.store("words")
        model = Model(store)
        with pytest.raises(
            DamagedRecordError, match="key b'word150': expected a block whose checksum is right"
        ) as caught:
            model.embed_many(["word0", "word150"])
        assert caught.value.key == b"word150"
        with pytest.raises(DamagedRecordError, match="key b'word150'"):
            model.set("word150", vector(0))
        np.testing.assert_array_equal(model.get("word0"), vector(0))
        report = check(store)
        assert not report.ok
        assert "block checksum mismatch; repair the store" in report.unreadable


def test_a_log_that_lost_its_end_does_not_open(path: Path) -> None:
    with LevelDBRepository(path) as repository:
        store = repository.store("words")
        for i in range(10):
            store.put(b"%d" % i, bytes(100))
    (log,) = path.glob("*.log")
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 350)
    for _ in range(2):
        with pytest.raises(
            DamagedStoreError, match=r"expected 10 batches, got 8: the last 2 are lost; repair the store"
        ):
            LevelDBRepository(path)
    report = repair(path)
    assert report.lost_batches == 2
    assert report.stores["words"].found == 8
    with LevelDBRepository(path) as repository:
        assert len(repository.store("words")) == 8


def test_repair_reports_what_it_removed(path: Path) -> None:
    with LevelDBRepository(path) as repository:
        store = repository.store("words")
        Model(store, SIZE).set_many(["ev", "at"], np.stack([vector(0), vector(1)]))
        repository.store("plain").put(b"a", b"not a record")
        store.put(b"ev", store.get(b"at") or b"")
        with pytest.raises(StoreError, match="expected a closed store, got one that this process has open"):
            repair(path)
    report = repair(path)
    assert (report.stores["words"].expected, report.stores["words"].found) == (2, 1)
    assert report.stores["words"].removed == [b"ev"]
    assert (report.stores["plain"].found, report.stores["plain"].removed) == (1, [])
    assert report.lost_batches == 0
    with LevelDBRepository(path) as repository:
        assert list(repository.store("words").keys()) == [b"at"]


def test_repair_removes_what_belongs_to_no_store_and_mends_a_header(path: Path) -> None:
    plyvel = require("plyvel", "plyvel_next", install="spago-embeddings", purpose="this test")
    with LevelDBRepository(path) as repository:
        Model(repository.store("words"), SIZE).set("ev", vector(0))
    garbage = [b"hx\0y", b"rnobody\0ev", b"r\xff\0ev", b"rwords", b"zzz"]
    with plyvel.DB(str(path)) as db:
        db.put(b"hwords", b"damaged")
        for key in garbage:
            db.put(key, b"?")
    report = repair(path)
    assert report.garbage == sorted(garbage)
    assert (report.stores["words"].expected, report.stores["words"].found) == (None, 1)
    with LevelDBRepository(path) as repository:
        assert repository.names() == ["words"]
        np.testing.assert_array_equal(Model(repository.store("words")).get("ev"), vector(0))


def test_there_must_be_something_to_repair(path: Path) -> None:
    with pytest.raises(StoreError, match="expected a store to repair, found none"):
        repair(path)
    assert not path.exists()


FULL = """
import resource, sys
from spago.embeddings import LevelDBRepository, StoreError
from spago.mat.addons import require
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
repository = LevelDBRepository(sys.argv[1])
store = repository.store("a")
written = 0
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, most))
try:
    while True:
        store.put_many([(b"%d" % (written + i), bytes(5000)) for i in range(10)])
        written += 10
except StoreError as error:
    print(type(error).__name__, error)
print(written > 0 and all(store.get(b"%d" % i) == bytes(5000) for i in range(written)), len(store) == written)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
for i in range(20):
    store.put(b"after%d" % i, b"x")
print(len(store) == len(list(store.keys())))
repository.close()
with LevelDBRepository(sys.argv[1]) as repository:
    store = repository.store("a")
    print(all(store.get(b"%d" % i) == bytes(5000) for i in range(written)), len(store) == len(list(store.keys())))
    print(all(b"after%d" % i in store for i in range(20)), len(store) in (written + 20, written + 30))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on the size of files")
def test_a_full_disk_is_one_clear_error_and_the_store_lives_on(path: Path) -> None:
    done = python(FULL, path)
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"StoreError {path}: expected LevelDB to read and write, got: "), done
    assert lines[1:] == ["True True", "True", "True True", "True True"], done
