"""The tagger of examples/tagger, end to end, on a small language made here: the ending of a word tells its tag."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from examples.tagger.__main__ import main, new_folder
from examples.tagger.data import Vocabulary, make_batch, training_batches
from examples.tagger.model import new_tagger, open_tagger, save
from examples.tagger.sentences import side_by_side, words_of
from examples.tagger.settings import Settings
from examples.tagger.training import measure, train
from examples.tagger.treebank import Sentence
from spago import ag, embeddings
from spago.mat import FormatError
from spago.mat.rand import LockedRand

ENDINGS = {"NOUN": "lar", "VERB": "yor", "ADJ": "siz", "ADV": "ca"}
SMALL = Settings(word_size=8, character_size=8, character_hidden_size=12, word_hidden_size=16, epochs=6, batch_size=8)


def sentences(count: int, seed: int = 1) -> list[Sentence]:
    """Sentences whose words are all different: only their endings tell their tags."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        tags = rng.choice(list(ENDINGS), size=rng.integers(2, 7))
        stems = ("".join(rng.choice(list("bdkmnprstaeiou"), size=rng.integers(3, 6))) for _ in tags)
        made.append(
            Sentence((*(s + ENDINGS[t] for s, t in zip(stems, tags, strict=True)), "."), (*map(str, tags), "PUNCT"))
        )
    return made


def conllu(given: list[Sentence]) -> str:
    blocks = (
        "".join(
            f"{i}\t{w}\t_\t{t}\t_\t_\t0\t_\t_\t_\n" for i, (w, t) in enumerate(zip(s.words, s.tags, strict=True), 1)
        )
        for s in given
    )
    return "\n".join(blocks)


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    path = tmp_path / "small.conllu"
    path.write_text(conllu(sentences(40)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tagger that has been trained a little."""
    folder = tmp_path_factory.mktemp("trained")
    vocabulary = Vocabulary.of(sentences(30))
    with new_tagger(folder, vocabulary, SMALL) as tagger:
        save(tagger, folder, SMALL)
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["tagger", *map(str, arguments)])
    return main()


def test_it_learns_to_tag_words_it_has_never_seen(tmp_path: Path) -> None:
    learned, unseen = sentences(120), sentences(40, seed=2)
    with new_tagger(tmp_path, Vocabulary.of(learned), SMALL) as tagger:
        before = measure(tagger, unseen)
        history = train(tagger, SMALL, learned, unseen, seed=1)
        assert before < 0.6
        assert measure(tagger, unseen) > 0.97
        assert np.mean(history.losses[-5:]) < 0.2 * np.mean(history.losses[:5])
        assert history.dev[-1] == measure(tagger, unseen)


def test_every_part_of_the_network_learns(tmp_path: Path) -> None:
    given = sentences(8)
    vocabulary = Vocabulary.of(given)
    with new_tagger(tmp_path, vocabulary, SMALL) as tagger:
        for batch, tags in training_batches(given, vocabulary, LockedRand(1), size=8):
            tagger.loss(batch, tags).backward()
            assert all(p.grad is not None and p.grad.any() for p in tagger.parameters())


def test_a_batch_is_its_sentences_one_by_one(tmp_path: Path) -> None:
    given = sentences(6)
    with new_tagger(tmp_path, Vocabulary.of(given), SMALL) as tagger, ag.no_grad():
        tagger.eval()
        together = tagger(make_batch([s.words for s in given], tagger.vocabulary)).value
        for scores, sentence in zip(together, given, strict=True):
            alone = tagger(make_batch([sentence.words], tagger.vocabulary)).value[0]
            np.testing.assert_allclose(scores[: len(sentence)], alone, rtol=1e-4, atol=1e-5)


def test_what_is_saved_tags_the_same(tmp_path: Path) -> None:
    learned = sentences(30)
    with new_tagger(tmp_path, Vocabulary.of(learned), SMALL) as tagger:
        train(tagger, SMALL, learned, learned[:3], seed=1)
        save(tagger, tmp_path, SMALL)
        scores = tagger(make_batch([learned[0].words], tagger.vocabulary)).value
    with open_tagger(tmp_path) as opened:
        np.testing.assert_array_equal(opened(make_batch([learned[0].words], opened.vocabulary)).value, scores)
        assert len(opened.tag_sentence(["hiçgörülmemiş", "."])) == 2


def test_the_whole_command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, treebank: Path
) -> None:
    output = tmp_path / "out"
    assert run(monkeypatch, "--treebank", treebank, "--epochs", 1, "--sentences", 20, "--output", output) == 0
    shown = capfd.readouterr()
    for words in ("20 sentences", "epoch  1/1", "test accuracy", "most frequent tag", "hatch run demo tag"):
        assert words in shown.out + shown.err
    assert {p.name for p in output.iterdir()} == {
        "loss.png",
        "network.dot",
        "network.safetensors",
        "vocabulary.json",
        "words",
    }
    assert (output / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert "NegativeLogLikelihood" in (output / "network.dot").read_text()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".out")]
    assert run(monkeypatch, "tag", "kitaplar okuyor.", "--model", output) == 0
    words, tags = capfd.readouterr().out.splitlines()
    assert words.split() == ["kitaplar", "okuyor", "."]
    assert len(tags.split()) == 3


def error(capsys: pytest.CaptureFixture[str]) -> str:
    shown = capsys.readouterr().err.splitlines()
    assert shown[-1].startswith("error: ")
    assert not any("Traceback" in line for line in shown)
    return shown[-1]


@pytest.mark.parametrize("text", ["", "  ", "\t\n"])
def test_a_sentence_of_no_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, trained: Path
) -> None:
    assert run(monkeypatch, "tag", text, "--model", trained) == 2
    assert "expected a sentence of at least one word, got" in error(capsys)


def test_a_broken_treebank_line_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, treebank: Path
) -> None:
    lines = treebank.read_text().splitlines()
    lines[6] = "broken"
    treebank.write_text("\n".join(lines))
    output = tmp_path / "out"
    assert run(monkeypatch, "--treebank", treebank, "--output", output) == 2
    assert f"{treebank}, line 7: expected 10 columns separated by tabs, got 1" in error(capsys)
    assert not output.exists()


@pytest.mark.parametrize("part", ["network.safetensors", "vocabulary.json", "words"])
def test_a_missing_part_of_the_model_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, trained: Path, part: str
) -> None:
    for path in trained.iterdir():
        if path.name != part:
            (tmp_path / path.name).symlink_to(path)
    assert run(monkeypatch, "tag", "bir", "--model", tmp_path) == 2
    assert f"expected a trained tagger with a part {part}, found none; train one with" in error(capsys)


@pytest.mark.parametrize("part", ["network.safetensors", "vocabulary.json"])
def test_a_damaged_part_of_the_model_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, trained: Path, part: str
) -> None:
    for path in trained.iterdir():
        if path.name != part:
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / part).write_bytes((trained / part).read_bytes()[:-20])
    assert run(monkeypatch, "tag", "bir", "--model", tmp_path) == 2
    assert part in error(capsys)


def test_settings_that_are_no_numbers_are_named() -> None:
    with pytest.raises(FormatError, match="settings: expected numbers, got .*'many'.*; train the tagger again"):
        Settings.of({"epochs": "many"})


def test_a_store_open_in_another_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], trained: Path
) -> None:
    hold = "import sys; from spago.embeddings import LevelDBRepository as R\n"
    hold += "with R(sys.argv[1]): print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(trained / "words")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert run(monkeypatch, "tag", "bir", "--model", trained) == 2
        other.communicate()
    assert "words" in (message := error(capsys))
    assert "no other process has open" in message


def test_other_files_are_not_overwritten(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, treebank: Path
) -> None:
    assert run(monkeypatch, "--treebank", treebank, "--output", tmp_path) == 2
    assert "expected a folder with an older tagger, got one with other files" in error(capsys)
    assert [path.name for path in tmp_path.iterdir()] == [treebank.name]


def test_a_new_result_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    output = tmp_path / "out"
    for content in ("old", "new"):
        with new_folder(output) as folder:
            (folder / content).touch()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in output.iterdir()] == ["new"]


def test_what_fails_leaves_the_old_result(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with new_folder(output) as folder:
        (folder / "old").touch()
    with pytest.raises(FileNotFoundError), new_folder(output) as folder:
        (folder / "half").write_bytes((folder / "missing").read_bytes())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in output.iterdir()] == ["old"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupted_training_leaves_nothing(tmp_path: Path, treebank: Path) -> None:
    output = tmp_path / "folder" / "out"
    command = [sys.executable, "-m", "examples.tagger", "--treebank", str(treebank), "--epochs", "10000"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    with subprocess.Popen([*command, "--output", str(output)], stderr=subprocess.PIPE, env=environment) as training:
        deadline = time.monotonic() + 60
        while not output.parent.exists() or not list(output.parent.glob(".out-*/words/*.log")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3)
        training.send_signal(signal.SIGINT)
        _, shown = training.communicate(timeout=60)
    assert training.returncode == 130
    assert b"interrupted; nothing was written" in shown
    assert b"Traceback" not in shown
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--sentences", "-1"], ["--epochs", "x"], ["tag"], ["fly"]])
def test_wrong_arguments_end_with_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, *arguments)
    assert "usage: hatch run demo" in capsys.readouterr().err


def test_help_explains_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run(monkeypatch, "--help")
    shown = capsys.readouterr().out
    for words in ("Google Turkish Web Treebank", "--epochs", "--sentences", "tag a sentence", "loss.png"):
        assert words in shown


def test_words_and_punctuation_are_told_apart() -> None:
    assert words_of("Türkiye'de 4.3.3 sürümü, var... Peki ya sen?") == [
        *("Türkiye'de", "4.3.3", "sürümü", ",", "var", "...", "Peki", "ya", "sen", "?")
    ]
    assert words_of("``Evet'' dedi :)") == ["``", "Evet", "''", "dedi", ":)"]
    assert words_of("İ") == words_of("I\u0307")  # the same letter, written in two ways


def test_tags_stand_below_their_words() -> None:
    assert side_by_side(["bir", "kitap"], ["DET", "NOUN"]) == "bir  kitap\nDET  NOUN"


def test_the_words_of_a_model_live_in_the_store(trained: Path) -> None:
    with embeddings.LevelDBRepository(trained / "words", read_only=True) as repository:
        assert embeddings.check(repository.store("words")).ok
