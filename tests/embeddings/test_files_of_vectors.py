"""Files of vectors: what goes into a store and what comes out, whole or damaged, at once or interrupted."""

from __future__ import annotations

import gzip
import random
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from spago.embeddings import (
    LevelDBRepository,
    MemoryRepository,
    MemoryStore,
    Model,
    SQLiteRepository,
    Store,
    StoreError,
    check,
    export_vectors,
    import_vectors,
)
from spago.embeddings import _import as import_module
from spago.embeddings import _text as text_module
from spago.mat import Array, FormatError, ShapeError

WORDS = ["ev", "Ev", "şeker", "i̇stanbul", "日本", "🙂", "\u00a0", "don't", "1,000", "__label__", "İ", "<unk>"]


def new_store() -> MemoryStore:
    return MemoryRepository().store("words")


def vectors(count: int = len(WORDS), size: int = 5) -> Array:
    values: Array = np.random.default_rng(3).normal(size=(count, size)).astype(np.float32)
    values[0] = [1e-30, -0.0, 3.4e38, 0.1, -12345.678][:size]
    return values


def filled(store: Store, words: list[str] = WORDS) -> Store:
    Model(store, 5).set_many(words, vectors(len(words)))
    return store


def content(store: Store) -> dict[bytes, bytes]:
    return dict(store.items())


def text_file(path: Path, text: str | bytes, name: str = "words.txt") -> Path:
    file = path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


ENDINGS = [
    (".txt", "word2vec"),
    (".txt", "glove"),
    (".vec", None),
    (".vec.gz", None),
    (".txt.zip", "glove"),
    (".bin", None),
    (".bin.gz", None),
    (".npy", None),
    (".safetensors", None),
]


@pytest.mark.parametrize(("ending", "form"), ENDINGS)
def test_what_is_written_comes_back_bit_by_bit(tmp_path: Path, ending: str, form: str | None) -> None:
    store, again = filled(new_store()), new_store()
    file = tmp_path / f"words{ending}"
    assert export_vectors(store, file, format=form).written == len(WORDS)  # type: ignore[arg-type]
    report = import_vectors(file, again)
    assert (report.lines, report.written, report.malformed) == (len(WORDS), len(WORDS), 0)
    assert content(again) == content(store)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".tmp") == []


def test_leveldb_takes_what_memory_takes(tmp_path: Path) -> None:
    file = tmp_path / "words.vec"
    export_vectors(filled(new_store()), file)
    with LevelDBRepository(tmp_path / "store") as repository:
        import_vectors(file, repository.store("words"))
        assert content(repository.store("words")) == content(filled(new_store()))


def test_the_usual_ways_to_write_text_are_read(tmp_path: Path) -> None:
    for text in ("2 2\na 1 2\nb -3 .5\n", "a 1 2\nb -3 .5", "2 2\r\na 1 2\r\nb -3 .5\r\n", "a\t1\t2\nb\t-3\t0.5e0\n",
                 "2 2\na 1 2 \nb -3 .5 \n", "\ufeff2 2\na  1  2\n\nb -3 .5\n\n"):  # fmt: skip
        store = new_store()
        report = import_vectors(text_file(tmp_path, text), store)
        assert report.written == report.lines == 2
        np.testing.assert_array_equal(Model(store).get_many(["a", "b"]), [[1, 2], [-3, 0.5]])


def test_two_integers_are_no_header_where_there_is_none(tmp_path: Path) -> None:
    store = new_store()
    assert import_vectors(text_file(tmp_path, "7 5\n8 6\n"), store, format="glove").promised is None
    assert content(store).keys() == {b"7", b"8"}


def test_words_may_have_spaces_as_in_vectors_of_web_pages(tmp_path: Path) -> None:
    store = new_store()
    import_vectors(text_file(tmp_path, "a 1 2\n. . . 3 4\nat name@domain.com 5 6\n"), store)
    assert list(content(store)) == [b". . .", b"a", b"at name@domain.com"]


FAULTY = [
    ("b 3", "expected a word and 2 numbers, got 2 fields in b'b 3'"),
    ("b 3 4 5", "expected a word and 2 numbers, got 4 fields in b'b 3 4 5'"),
    (" 3 4", "expected a word and 2 numbers, got 2 fields in b' 3 4'"),
    ("b 3 x", "expected 2 finite numbers of float32, got b'x' for 'b'"),
    ("b 3 nan", "expected 2 finite numbers of float32, got b'nan' for 'b'"),
    ("b inf 3", "expected 2 finite numbers of float32, got b'inf' for 'b'"),
    ("b 1e39 3", "expected 2 finite numbers of float32, got b'1e39' for 'b'"),
    ("b 1_0 3", "expected 2 finite numbers of float32, got b'1_0' for 'b'"),
]


@pytest.mark.parametrize(("line", "message"), FAULTY)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    file = text_file(tmp_path, f"3 2\na 1 2\n{line}\nc 5 6\n")
    with pytest.raises(FormatError) as caught:
        import_vectors(file, new_store())
    assert str(caught.value) == f'{file}:3: {message}; mend it, or import with on_error="skip"'
    store = new_store()
    report = import_vectors(file, store, on_error="skip")
    assert (report.lines, report.written, report.malformed, report.faults) == (3, 2, 1, [(3, message)])
    assert content(store).keys() == {b"a", b"c"}


def test_a_word_that_is_no_utf8_is_malformed(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"words.txt:2: expected a word in UTF-8, got b'\\xff'; mend it"):
        import_vectors(text_file(tmp_path, b"a 1 2\n\xff 3 4\n"), new_store())


def test_of_equal_words_the_first_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "BLOCK_BYTES", 16)
    store = filled(new_store(), ["ev", "at"])
    file = text_file(tmp_path, "ev 1 1 1 1 1\nkedi 2 2 2 2 2\nev 3 3 3 3 3\nev 4 4 4 4 4\nkedi 5 5 5 5 5\n")
    report = import_vectors(file, store)
    assert (report.written, report.duplicates, report.duplicate_lines) == (2, 3, [3, 4, 5])
    assert Model(store).get_many(["ev", "kedi"]).tolist() == [[1] * 5, [2] * 5]
    assert "at" in Model(store)


def test_duplicates_are_found_in_blocks_and_between_them(tmp_path: Path) -> None:
    rng = random.Random(2)
    numbers = [rng.randrange(40_000) for _ in range(100_000)]
    file = text_file(tmp_path, "".join(f"w{n} {i}\n" for i, n in enumerate(numbers)))
    store = new_store()
    report = import_vectors(file, store)
    first = {n: i for i, n in reversed(list(enumerate(numbers)))}
    assert report.written == len(first) == len(store)
    assert report.duplicates == len(numbers) - len(first)
    found = Model(store).get_many([f"w{n}" for n in first])[:, 0]
    np.testing.assert_array_equal(found, list(first.values()))


def test_only_wanted_words_are_read(tmp_path: Path) -> None:
    file = text_file(tmp_path, "a 1 2\nb x y\nc 5 6\nş 7 8\n")
    store = new_store()
    report = import_vectors(file, store, words=["c", "ş", "never there"])
    assert (report.lines, report.written, report.left_out) == (4, 2, 2)
    assert content(store).keys() == {b"c", "ş".encode()}


@pytest.mark.parametrize("ending", [".vec", ".bin", ".npy"])
def test_a_limit_takes_the_first(tmp_path: Path, ending: str) -> None:
    file, store = tmp_path / f"words{ending}", new_store()
    export_vectors(filled(new_store()), file)
    report = import_vectors(file, store, limit=4)
    assert (report.lines, report.written) == (4, 4)
    assert list(content(store)) == sorted(word.encode() for word in WORDS)[:4]


@pytest.mark.parametrize("header", ["2 2", "4 2"])
def test_another_number_of_vectors_than_promised_is_noticed(tmp_path: Path, header: str) -> None:
    file = text_file(tmp_path, f"{header}\na 1 2\nb 3 4\nc 5 6\n")
    with pytest.raises(FormatError, match=rf"expected {header[0]} vectors as the header says, got 3; is the file comp"):
        import_vectors(file, new_store())
    assert import_vectors(file, new_store(), on_error="skip").lines == 3


ABSURD = {
    "2147483647 300": "",
    "1 2147483647\na 1": r"expected vectors of 1 to 65536 numbers, got 2147483647",
    "1 99999999999999999999\na 1": r"expected vectors of 1 to 65536 numbers, got 9999",
    "3 0\na\nb\nc": r"expected vectors of 1 to 65536 numbers, got 0",
    "": r"expected vectors of 1 to 65536 numbers, got -1",
    "\n\n": r"expected vectors of 1 to 65536 numbers, got -1",
    "word": r"expected vectors of 1 to 65536 numbers, got 0",
    "a" * 3_000_000: r"expected vectors of 1 to 65536 numbers, got 0",
    "a 1 2\n" + "b" * 3_000_000: r"words.txt:2: expected a line of at most \d+ bytes, got more",
}


@pytest.mark.parametrize("text", ABSURD, ids=lambda text: text[:20])
def test_absurd_text_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(FormatError, match=ABSURD[text] or "expected 2147483647 vectors as the header says, got 0"):
        import_vectors(text_file(tmp_path, text), new_store())


NUMBERS = np.arange(4, dtype="<f4").tobytes()
FAULTY_BINARY = {
    b"2147483647 300\na " + NUMBERS: r"expected at least 257\d+ bytes for 2147483647 vectors of 300, got",
    b"1 2147483647\na " + NUMBERS: r"expected vectors of 1 to 65536 numbers",
    b"2 4\na " + NUMBERS: r"expected at least 34 bytes for 2 vectors of 4, got",
    b"2 4\na " + NUMBERS + b"bbbbbbbbbb " + NUMBERS[:8]: r"expected 1 more vectors from number 2 on, got the end",
    b"1 4\na " + NUMBERS + b"b " + NUMBERS: r"expected the file to end after 1 vectors, got more",
    b"1 4\n" + b"a" * 3_000_000 + b" " + NUMBERS: r"expected a word of at most 65536 bytes for vector 1, got more",
    b"1 4\n\xff " + NUMBERS: r":1: expected a word in UTF-8, got b'\\xff'; mend it",
    b"1 4\na " + np.full(4, np.nan, "<f4").tobytes(): r":1: expected 4 finite numbers, got others for b'a'",
    (793712314).to_bytes(4, "little") + bytes(40): r"expected vectors, got a model of fastText; export",
    b"no header " + NUMBERS: r"expected a header, count and size, got b'no header",
}


@pytest.mark.parametrize("data", FAULTY_BINARY, ids=lambda data: repr(data[:16]))
def test_faulty_binary_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(FormatError, match=FAULTY_BINARY[data]):
        import_vectors(text_file(tmp_path, data, "words.bin"), new_store(), format="binary")


def test_binary_with_and_without_line_ends_is_read_in_any_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spago.embeddings._binary.BLOCK_BYTES", 7)
    for end in (b"", b"\n"):
        data = b"2 4\n" + b"a " + NUMBERS + end + b"b " + NUMBERS + end
        store = new_store()
        assert import_vectors(text_file(tmp_path, data, "words.bin"), store).written == 2
        assert Model(store).get_many(["a", "b"]).tolist() == [[0, 1, 2, 3]] * 2


def test_damaged_compression_is_refused(tmp_path: Path) -> None:
    text = "".join(f"w{i} {i} {i + 1}\n" for i in range(5000)).encode()
    whole = gzip.compress(text)
    for damaged in (whole[:-100], whole[:500] + bytes(100) + whole[600:]):
        with pytest.raises(FormatError, match=r"expected whole compressed data, got|expected a word"):
            import_vectors(text_file(tmp_path, damaged, "words.txt.gz"), new_store())
    with pytest.raises(FormatError, match="expected a whole zip file, got"):
        import_vectors(text_file(tmp_path, b"PK\3\4" + bytes(100), "words.zip"), new_store())


def test_a_member_of_a_zip_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "glove.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("two.txt", "a 1 2\n")
        archive.writestr("three.txt", "a 1 2 3\n")
    with pytest.raises(ValueError, match=r"glove.zip: expected a member of \['three.txt', 'two.txt'\], got None; name"):
        import_vectors(file, new_store())
    store = new_store()
    import_vectors(file, store, member="three.txt")
    assert Model(store).size == 3


def test_arrays_and_words_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", vectors())
    with pytest.raises(
        FileNotFoundError, match=r"a.vocab: expected a file with the words of .*, one a line, found none"
    ):
        import_vectors(tmp_path / "a.npy", new_store())
    (tmp_path / "a.vocab").write_text("one\ntwo\n")
    with pytest.raises(FormatError, match=r"expected one word for each of 12 vectors, got 2 words; is it the right"):
        import_vectors(tmp_path / "a.npy", new_store())
    np.savez(tmp_path / "b.npz", vectors=vectors(), words=np.array(WORDS, object))
    with pytest.raises(
        FormatError, match="b.npz: expected a NumPy file of arrays, got: Object arrays cannot be loaded"
    ):
        import_vectors(tmp_path / "b.npz", new_store())
    np.savez(tmp_path / "c.npz", vectors=vectors(), words=np.array(WORDS))
    store = new_store()
    import_vectors(tmp_path / "c.npz", store)
    assert content(store) == content(filled(new_store()))


def test_another_size_than_that_of_the_store_is_refused(tmp_path: Path) -> None:
    store = filled(new_store())
    with pytest.raises(ShapeError, match="expected size 5, that of store 'words', got 2"):
        import_vectors(text_file(tmp_path, "a 1 2\n"), store)
    assert content(store) == content(filled(new_store()))


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "BLOCK_BYTES", 64)
    for name in ("words.vec", "words.npy"):
        told: list[tuple[int, int]] = []

        def note(done: int, total: int, told: list[tuple[int, int]] = told) -> None:
            told.append((done, total))

        export_vectors(filled(new_store()), tmp_path / name)
        import_vectors(tmp_path / name, new_store(), progress=note)
        assert told == sorted(told)
        assert told[-1][0] == told[-1][1] > 0


def test_a_bar_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    import_vectors(text_file(tmp_path, "a 1 2\n"), new_store(), progress=True)
    assert "words.txt: 100%" in capsys.readouterr().err


class FailingStore(MemoryStore):
    """A store that fails after some writes of records."""

    writes = 10**9

    def put_many(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        self.writes -= 1
        if self.writes < 0:
            raise StoreError("disk full")
        super().put_many(items)


@pytest.mark.parametrize("noted", [1, 30, 10_000])
@pytest.mark.parametrize("writes", [0, 1, 7, 15])
def test_an_interrupted_import_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int, noted: int
) -> None:
    monkeypatch.setattr(text_module, "BLOCK_BYTES", 40)
    monkeypatch.setattr(import_module, "_ROWS_BETWEEN_NOTES", noted)
    lines = [f"w{i % 70} {i} {i}" for i in range(100)]
    lines[50] = "malformed"
    lines[20:20] = ["", ""]
    file = text_file(tmp_path, "100 2\n" + "\n".join(lines) + "\n")
    expected_store, store = new_store(), new_store()
    expected = import_vectors(file, expected_store, on_error="skip")
    store.__class__ = FailingStore
    store.writes = writes  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match="disk full"):
        import_vectors(file, store, on_error="skip")
    store.__class__ = MemoryStore
    report = import_vectors(file, store, on_error="skip")
    assert content(store) == content(expected_store)
    assert store.attributes == expected_store.attributes
    assert (report.lines, report.duplicates, report.malformed) == (100, 30, 1)
    assert report.written == expected.written == 70 - 1 + (lines[52] != "malformed")


def test_a_mended_file_goes_on_where_it_was_malformed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "BLOCK_BYTES", 40)
    text = "".join(f"w{i} {i} 0\n" for i in range(100))
    store = new_store()
    with pytest.raises(FormatError, match="words.txt:78: expected 2 finite"):
        import_vectors(text_file(tmp_path, text.replace("77 77", "77 7x")), store)
    assert len(store) > 60
    report = import_vectors(text_file(tmp_path, text), store)
    assert report.resumed_at > 60
    assert (report.written, len(store), "import" in store.attributes) == (100, 100, False)


def test_words_without_room_in_a_format_are_refused_or_left_out(tmp_path: Path) -> None:
    store = new_store()
    Model(store, 5).set_many(["a", "b c", b"\xff", 5, "new\nline", ""], np.ones((6, 5)))
    with pytest.raises(ValueError, match=r"expected words that word2vec has room for, got b''; leave such words out"):
        export_vectors(store, tmp_path / "words.txt")
    assert not (tmp_path / "words.txt").exists()
    assert export_vectors(store, tmp_path / "words.txt", on_error="skip") == (1, 5)
    assert export_vectors(store, tmp_path / "words.npy", on_error="skip").written == 2


def test_only_asked_for_words_are_written(tmp_path: Path) -> None:
    again = new_store()
    assert export_vectors(filled(new_store()), tmp_path / "a.bin", words=["ev", "日本", "none"]).written == 2
    import_vectors(tmp_path / "a.bin", again)
    assert content(again).keys() == {b"ev", "日本".encode()}


def test_a_failed_export_leaves_the_old_file(tmp_path: Path) -> None:
    store = filled(new_store())
    store.put(b"z", b"no record")
    for name in ("a.txt", "a.bin", "a.npy", "a.safetensors"):
        file = text_file(tmp_path, "old", name)
        with pytest.raises(FormatError, match="key b'z'"):
            export_vectors(store, file)
        assert file.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("ending", [".vec", ".bin", ".vec.gz", ".npy", ".safetensors"])
def test_damaged_files_end_in_one_kind_of_error(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"words{ending}"
    export_vectors(filled(new_store()), file)
    whole = file.read_bytes()
    rng = random.Random(4)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        file.write_bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])
        store = new_store()
        try:
            import_vectors(file, store)
        except (FormatError, ValueError):
            continue
        assert len(store) <= len(WORDS) + 4


@pytest.mark.parametrize("kind", [LevelDBRepository, SQLiteRepository])
def test_counts_are_right_when_others_write_during_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[LevelDBRepository] | type[SQLiteRepository]
) -> None:
    monkeypatch.setattr(text_module, "BLOCK_BYTES", 40)
    file = text_file(tmp_path, "".join(f"w{i % 90} {i} 0\n" for i in range(100)))
    with kind(tmp_path / "store") as repository:
        store = repository.store("words")
        told: list[int] = []

        def interfere(done: int, total: int) -> None:
            told.append(done)
            if len(told) in (3, 9):
                Model(store).set_many([f"w{i}" for i in range(30 * len(told) // 3)], np.ones((10 * len(told), 2)))

        import_vectors(file, store, progress=interfere)
        assert len(told) > 9
        assert len(store) == 90 == sum(1 for _ in store.items())
        assert check(store).ok
    with kind(tmp_path / "store") as repository:
        assert len(repository.store("words")) == 90


@pytest.mark.parametrize("kind", [LevelDBRepository, SQLiteRepository])
def test_an_import_that_was_stopped_goes_on_in_a_store_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[LevelDBRepository] | type[SQLiteRepository]
) -> None:
    monkeypatch.setattr(text_module, "BLOCK_BYTES", 40)
    monkeypatch.setattr(import_module, "_ROWS_BETWEEN_NOTES", 30)
    file = text_file(tmp_path, "".join(f"w{i % 90} {i} 0\n" for i in range(100)))

    stops = [100, 400, 700]

    def stop(done: int, total: int) -> None:
        if done > stops[0]:
            raise KeyboardInterrupt

    while stops:
        with pytest.raises(KeyboardInterrupt), kind(tmp_path / "store") as repository:
            import_vectors(file, repository.store("words"), progress=stop)
        del stops[0]
    with kind(tmp_path / "store") as repository:
        store = repository.store("words")
        report = import_vectors(file, store)
        assert report.resumed_at > 30
        assert (report.lines, report.duplicates) == (100, 10)
        assert len(store) == 90
        assert check(store).ok
