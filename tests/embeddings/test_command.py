"""The command: what it prints, and how it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spago.embeddings import LevelDBRepository
from spago.embeddings.__main__ import main

VECTORS = "kral 1 0.5\nkraliçe 0.9 0.6\nat -1 0.25\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "words.txt"
    file.write_text(VECTORS)
    return file


@pytest.fixture(params=["words", "words.sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / str(request.param)
    assert main(["import", str(file), str(path), "--quiet"]) == 0
    assert capsys.readouterr().out == "3 vectors written\n"
    return path


def test_export_gives_back_what_was_imported(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(store), str(tmp_path / "out.txt"), "--format", "glove", "--quiet"]) == 0
    assert capsys.readouterr().out == "3 vectors written\n"
    assert sorted((tmp_path / "out.txt").read_text().split("\n")) == sorted(
        ["", "kral 1 0.5", "kraliçe 0.899999976 0.600000024", "at -1 0.25"]
    )


def test_info_says_what_is_there(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(store)]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "'': 3 words, dtype float32, format 1, size 2"
    assert lines[1].endswith(" MB on disk")


def test_get_prints_vectors(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["get", str(store), "at", "kral"]) == 0
    assert capsys.readouterr().out == "at -1 0.25\nkral 1 0.5\n"


def test_similar_prints_neighbours(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["similar", str(store), "kral", "--top", "1"]) == 0
    assert capsys.readouterr().out == " 0.9923  kraliçe\n"
    assert main(["similar", str(store), "--minus", "kral"]) == 0
    assert capsys.readouterr().out == " 0.7593  at\n-0.9923  kraliçe\n"


def test_check_finds_nothing_wrong(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(store)]) == 0
    assert capsys.readouterr().out == "'': 3 of 3 records found, 0 damaged\n"


def test_check_and_repair_name_damaged_records(tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "words"
    main(["import", str(file), str(path), "--quiet"])
    with LevelDBRepository(path) as repository:
        repository.store("").put(b"at", b"no record")
    capsys.readouterr()
    assert main(["check", str(path)]) == 1
    assert capsys.readouterr().out == "'': 3 of 3 records found, 1 damaged\n  b'at'\n"
    assert main(["repair", str(path)]) == 0
    assert "'': 2 records of 3, 1 damaged ones removed\n  b'at'\n0 batches lost" in capsys.readouterr().out
    assert main(["check", str(path)]) == 0


def test_what_was_left_out_is_listed(tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(VECTORS + "kral 1 1\nat\n")
    words = tmp_path / "list"
    words.write_text("kral\nat\n")
    command = ["import", str(file), str(tmp_path / "words"), "--quiet", "--skip", "--words", str(words)]
    assert main(command) == 0
    assert capsys.readouterr().out.split("\n") == [
        "2 vectors written",
        "not wanted: 1",
        "duplicates left out: 1, at lines 4",
        "malformed: 1",
        "  line 5: expected a word and 2 numbers, got 1 fields in b'at'",
        "",
    ]


BAD = {
    "get STORE none kral yok": "error: STORE: not there: none, yok\n",
    "info MISSING": "error: MISSING: expected a store, found none; is the path right?",
    "import MISSING STORE": "error: MISSING: expected a file of vectors, found none",
    "similar STORE": "error: most_similar: expected words or vectors to look for, got none",
    "export STORE FOLDER/none/out.txt": "error: FOLDER/none/out.txt: expected a file in a folder that exists",
    "repair MISSING": "error: MISSING: expected a store to repair, found none",
    "get STORE kral --name other": "error: STORE: expected a store 'other', found none; `info` lists what is there",
}


@pytest.mark.parametrize("command", BAD)
def test_bad_input_gives_one_message_and_status_2(
    tmp_path: Path, file: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["import", str(file), str(tmp_path / "STORE"), "--quiet"])
    capsys.readouterr()

    def full(text: str) -> str:
        text = text.replace("FOLDER", str(tmp_path))
        return text.replace("MISSING", str(tmp_path / "MISSING")).replace("STORE", str(tmp_path / "STORE"))

    arguments = full(command).split(" ")
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(full(BAD[command]))
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "MISSING").exists()


def test_a_malformed_line_tells_of_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "faulty.txt"
    file.write_text("ev 1 2\nat x 1\n")
    assert main(["import", str(file), str(tmp_path / "store"), "--quiet"]) == 2
    assert capsys.readouterr().err.endswith("got b'x' for 'at'; mend it, or import with --skip\n")


def test_it_runs_as_a_module(tmp_path: Path, file: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "spago.embeddings"]
    run = subprocess.run([*command, "import", file, tmp_path / "words"], capture_output=True, text=True, check=True)
    assert run.stdout == "3 vectors written\n"
    run = subprocess.run([*command, "import"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "the following arguments are required: FILE, STORE" in run.stderr
