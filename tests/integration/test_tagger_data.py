"""The tagger's data side: the treebank's files, the vocabulary, the mini-batches, the baseline."""

import json
import re
from collections import Counter
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.tagger import treebank
from examples.tagger.data import (
    UNKNOWN,
    Batch,
    Indices,
    MostFrequentTag,
    Vocabulary,
    accuracy,
    batches,
    drop_rare,
    lower,
    make_batch,
    training_batches,
)
from examples.tagger.treebank import Sentence, load_treebank, read_conllu, split, treebank_files
from spago.mat import FormatError
from spago.mat.rand import LockedRand


def line(id_: int | str, form: str, tag: str, relation: str = "dep") -> str:
    return f"{id_}\t{form}\t_\t{tag}\tXX\t_\t0\t{relation}\t_\t_\n"


GELDIM = line(1, "Geldim", "VERB", "root") + line(2, ".", "PUNCT", "p")
GIT_ME_DEN = line(1, "Git", "VERB", "ig") + line(2, "me", "VERB", "ig") + line(3, "den", "ADV", "root")


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "some.conllu"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# --- the reader ---------------------------------------------------------------------------------------------------


def test_a_blank_line_ends_a_sentence(tmp_path: Path) -> None:
    sentences = read_conllu(write(tmp_path, f"# text = Geldim.\n{GELDIM}\n\n{GELDIM}\n"))
    assert sentences == [Sentence(("Geldim", "."), ("VERB", "PUNCT"))] * 2


def test_inflectional_groups_are_read_as_they_stand(tmp_path: Path) -> None:
    assert read_conllu(write(tmp_path, GIT_ME_DEN + "\n")) == [Sentence(("Git", "me", "den"), ("VERB", "VERB", "ADV"))]


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n\n\n"])
def test_the_last_sentence_counts_with_or_without_its_blank_line(tmp_path: Path, end: str) -> None:
    text = f"{GELDIM}\n{GIT_ME_DEN}".removesuffix("\n") + end
    assert [len(sentence) for sentence in read_conllu(write(tmp_path, text))] == [2, 3]


def test_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    path = write(tmp_path, f"{GELDIM}\n{GIT_ME_DEN}\n".replace("\n", "\r\n"))
    assert [len(sentence) for sentence in read_conllu(path)] == [2, 3]


def test_multi_word_tokens_and_empty_nodes_carry_no_tag(tmp_path: Path) -> None:
    text = line("1-2", "Geldim.", "_") + line(1, "Geldim", "VERB") + line("1.1", "ben", "_") + line(2, ".", "PUNCT")
    assert read_conllu(write(tmp_path, text)) == [Sentence(("Geldim", "."), ("VERB", "PUNCT"))]


def test_an_underscore_may_be_a_word_and_a_line_separator_part_of_one(tmp_path: Path) -> None:
    text = line(1, "_", "X") + line(2, "a\u2028b", "X")
    assert read_conllu(write(tmp_path, text)) == [Sentence(("_", "a\u2028b"), ("X", "X"))]


BROKEN_LINES = {
    "few columns": ("3\tevde\t_\tNOUN\n", "expected 10 columns separated by tabs, got 4"),
    "many columns": (line(3, "ev\tde", "NOUN"), "expected 10 columns separated by tabs, got 11"),
    "spaces for tabs": (line(3, "evde", "NOUN").replace("\t", " "), "expected 10 columns separated by tabs, got 1"),
    "spaces alone": ("  \n", "expected 10 columns separated by tabs, got 1"),
    "a word as id": (line("üç", "evde", "NOUN"), "expected a whole number as id, got 'üç'"),
    "a negative id": (line(-3, "evde", "NOUN"), "expected a whole number as id, got '-3'"),
    "a superscript id": (line("³", "evde", "NOUN"), "expected a whole number as id, got '³'"),
    "half a range": (line("3-", "evde", "NOUN"), "expected a whole number as id, got '3-'"),
    "a lost line": (line(4, "evde", "NOUN"), "expected id 3, got 4; a line is missing or out of place"),
    "a lost blank line": (line(1, "Evde", "NOUN"), "expected id 3, got 1; a line is missing or out of place"),
    "no word": (line(3, "", "NOUN"), "expected a word in the second column, got none"),
    "no tag": (line(3, "evde", "_"), "expected a tag in the fourth column for 'evde', got '_'"),
    "an empty tag": (line(3, "evde", ""), "expected a tag in the fourth column for 'evde', got ''"),
    "not UTF-8": (line(3, "\udcfeevde", "NOUN"), "expected UTF-8, got byte 0xfe"),
}


@pytest.mark.parametrize(("broken", "reason"), BROKEN_LINES.values(), ids=BROKEN_LINES.keys())
def test_a_broken_line_is_named(tmp_path: Path, broken: str, reason: str) -> None:
    text = f"# a comment\n{GELDIM}\n# another\n{GELDIM}{broken}"
    path = write(tmp_path, text.encode(errors="surrogateescape"))
    with pytest.raises(FormatError, match=f"^{re.escape(f'{path}, line 8: {reason}')}$"):
        read_conllu(path)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_a_file_without_sentences_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(FormatError, match=re.escape(f"{path}: expected sentences, found none; is it a CoNLL-U file?")):
        read_conllu(path)


# --- the installed treebank -----------------------------------------------------------------------------------------


def test_a_missing_package_names_its_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treebank, "PACKAGE", "a-package-that-nobody-installed")
    message = "the Turkish Web Treebank is not installed; get it with: pip install a-package-that-nobody-installed"
    with pytest.raises(ModuleNotFoundError, match=f"^{message}$"):
        treebank_files()


def test_a_package_without_the_files_says_which_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treebank, "PACKAGE", "numpy")
    message = f"numpy {np.__version__}: expected the file web.conllu, found none; mend it with: pip install --force-"
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        treebank_files()


def is_installed(package: str) -> bool:
    return any(True for _ in metadata.distributions(name=package))


needs_treebank = pytest.mark.skipif(not is_installed(treebank.PACKAGE), reason=f"pip install {treebank.PACKAGE}")


@needs_treebank
def test_the_treebank_is_read_whole() -> None:
    sentences = [sentence for path in treebank_files() for sentence in read_conllu(path)]
    assert len(sentences) == 4851
    assert sum(map(len, sentences)) == 81370
    assert len({tag for sentence in sentences for tag in sentence.tags}) == 14


@needs_treebank
def test_the_split_of_the_treebank_is_the_stated_one() -> None:
    parts = load_treebank()
    sizes = [(len(part), sum(map(len, part))) for part in (parts.train, parts.dev, parts.test)]
    assert sizes == [(4000, 67176), (425, 7099), (426, 7095)]
    assert not {s.words for s in parts.train} & {s.words for s in parts.dev + parts.test}


@needs_treebank
def test_the_baseline_and_the_share_of_unknown_words_are_the_stated_ones() -> None:
    parts = load_treebank()
    vocabulary, baseline = Vocabulary.of(parts.train), MostFrequentTag(parts.train)
    words = [word for sentence in parts.test for word in sentence.words]
    assert accuracy(parts.test, [baseline.tag(s.words) for s in parts.test]) == pytest.approx(0.9023, abs=5e-5)
    assert sum(vocabulary.key(word) == UNKNOWN for word in words) / len(words) == pytest.approx(0.1828, abs=5e-5)


# --- the split ------------------------------------------------------------------------------------------------------


def numbered(count: int) -> list[Sentence]:
    return [Sentence((str(i),), ("NUM",)) for i in range(count)]


def test_the_split_is_drawn_with_the_librarys_own_stream() -> None:
    drawn = split(numbered(50), train=4, seed=42)
    assert [s.words[0] for s in drawn.train] == ["26", "41", "16", "48"]  # as the reference draws
    assert [s.words[0] for s in drawn.dev][:4] == ["11", "8", "21", "0"]


@given(train=st.integers(1, 28), seed=st.integers(0, 2**64 - 1))
def test_each_sentence_is_in_one_part(train: int, seed: int) -> None:
    drawn = split(numbered(30), train, seed)
    assert sorted(drawn.train + drawn.dev + drawn.test, key=lambda s: int(s.words[0])) == numbered(30)
    assert len(drawn.train) == train
    assert 0 <= len(drawn.test) - len(drawn.dev) <= 1
    assert drawn.dev


@pytest.mark.parametrize("train", [0, 9, 10])
def test_a_split_that_leaves_a_part_empty_is_refused(train: int) -> None:
    message = f"split: expected 1 to 8 training sentences of 10, got {train}; development and test need one each"
    with pytest.raises(ValueError, match=message):
        split(numbered(10), train)


# --- the vocabulary -------------------------------------------------------------------------------------------------

SMALL = [
    Sentence(("Ilık", "bir", "su"), ("ADJ", "DET", "NOUN")),
    Sentence(("ılık", "SU"), ("ADJ", "NOUN")),
    Sentence(("bir",), ("NUM",)),
    Sentence(("bir", "şey"), ("DET", "NOUN")),
]


@pytest.mark.parametrize(("word", "lowered"), [("ILIK", "ılık"), ("İYİ", "iyi"), ("Şişli", "şişli"), ("ÇAĞ", "çağ")])
def test_lower_is_turkish(word: str, lowered: str) -> None:
    assert lower(word) == lowered


def test_a_vocabulary_counts_words_in_lower_case_and_characters_as_they_are() -> None:
    vocabulary = Vocabulary.of(SMALL)
    assert vocabulary.words == {"ılık": 2, "bir": 3, "su": 2, "şey": 1}
    assert vocabulary.characters == tuple("biklrı")  # in order of code point; I, S, U, s, u, ş, e, y occur once
    assert vocabulary.tags == ("ADJ", "DET", "NOUN", "NUM")


def test_an_unknown_word_has_the_key_of_all_unknown_words() -> None:
    vocabulary = Vocabulary.of(SMALL)
    assert [vocabulary.key(word) for word in ("BİR", "Su", "ayran")] == ["bir", "su", UNKNOWN]


def test_a_vocabulary_survives_its_file(tmp_path: Path) -> None:
    vocabulary = Vocabulary.of(SMALL)
    vocabulary.save(tmp_path / "vocabulary.json")
    assert Vocabulary.load(tmp_path / "vocabulary.json") == vocabulary


@pytest.mark.parametrize("text", ["", "{", "[]", '{"words": {}}', json.dumps({"words": 1, "characters": 1, "tags": 1})])
def test_a_damaged_vocabulary_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=f"^{re.escape(str(path))}: expected a vocabulary in JSON, got .*; train the"):
        Vocabulary.load(path)


# --- batches --------------------------------------------------------------------------------------------------------


def test_a_batch_holds_each_distinct_word_once_the_longest_first() -> None:
    batch = make_batch([("bir", "su"), ("su",), ("Su", "bir", "şeyim")], Vocabulary.of(SMALL))
    assert batch.keys == [UNKNOWN, "bir", "su", "su"]
    assert batch.characters.tolist() == [[0, 0, 0, 2, 0], [1, 2, 5, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert batch.character_lengths.tolist() == [5, 3, 2, 2]
    assert batch.word_index.tolist() == [[1, 2, 0], [2, 0, 0], [3, 1, 0]]
    assert batch.lengths.tolist() == [2, 1, 3]


WORDS = st.text("abcçdeIİıi'1 ", min_size=1, max_size=12)
SENTENCES = st.lists(st.lists(WORDS, min_size=1, max_size=9), min_size=1, max_size=6)


def spelled(batch: Batch, vocabulary: Vocabulary) -> list[list[str]]:
    """The sentences of a batch, from the characters that the network would see."""
    characters = dict(enumerate(vocabulary.characters, start=1))
    distinct = [
        "".join(characters[i] for i in ids[:n])
        for ids, n in zip(batch.characters.tolist(), batch.character_lengths.tolist(), strict=True)
    ]
    rows = zip(batch.word_index.tolist(), batch.lengths.tolist(), strict=True)
    return [[distinct[i] for i in row[:n]] for row, n in rows]


@given(SENTENCES)
def test_a_batch_spells_its_sentences(sentences: list[list[str]]) -> None:
    vocabulary = Vocabulary.of(Sentence(tuple(words)) for words in sentences * 2)
    batch = make_batch(sentences, vocabulary)
    assert spelled(batch, vocabulary) == sentences
    assert len(batch.keys) == len(batch.characters) == len({word for words in sentences for word in words})
    assert batch.characters.shape[1] == batch.character_lengths[0] == batch.character_lengths.max()
    assert batch.word_index.shape == (len(sentences), batch.lengths.max())


@pytest.mark.parametrize("sentences", [[], [()], [("bir",), ()]])
def test_an_empty_sentence_is_refused(sentences: list[tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match="expected sentences of at least one word, got an empty one; leave it out"):
        make_batch(sentences, Vocabulary.of(SMALL))


def test_batches_keep_the_order() -> None:
    vocabulary = Vocabulary.of(SMALL)
    found = [words for batch in batches(SMALL, vocabulary, size=3) for words in batch.lengths.tolist()]
    assert found == [3, 2, 1, 2]
    assert [len(batch.lengths) for batch in batches(SMALL, vocabulary, size=3)] == [3, 1]


def random_sentences(count: int) -> list[Sentence]:
    rng = np.random.default_rng(5)
    tags = ("ADJ", "NOUN", "VERB")
    # A word ends in the number of its tag, so that words and tags can be held against each other.
    drawn = [rng.integers(0, 90, size=rng.integers(1, 20)) for _ in range(count)]
    return [Sentence(tuple(f"w{n:02}" for n in row), tuple(tags[n % 3] for n in row)) for row in drawn]


def epoch(rng: LockedRand, word_dropout: float = 0.0) -> list[tuple[Batch, Indices]]:
    sentences = random_sentences(300)
    return list(training_batches(sentences, Vocabulary.of(sentences), rng, size=4, word_dropout=word_dropout))


def test_an_epoch_shows_each_sentence_once_with_its_tags() -> None:
    vocabulary = Vocabulary.of(random_sentences(300))
    seen = [
        Sentence(tuple(words), tuple(vocabulary.tags[i] for i in row[: len(words)]))
        for batch, tags in epoch(LockedRand(1))
        for words, row in zip(spelled(batch, vocabulary), tags.tolist(), strict=True)
    ]
    assert Counter(seen) == Counter(random_sentences(300))


def test_the_same_seed_gives_the_same_batches_and_the_next_epoch_others() -> None:
    rng = LockedRand(1)
    first, second, again = epoch(rng, 0.5), epoch(rng, 0.5), epoch(LockedRand(1), 0.5)
    assert [(b.keys, b.word_index.tolist(), t.tolist()) for b, t in first] == [
        (b.keys, b.word_index.tolist(), t.tolist()) for b, t in again
    ]
    assert [b.word_index.tolist() for b, _ in first] != [b.word_index.tolist() for b, _ in second]


def test_sentences_of_a_batch_have_about_the_same_length() -> None:
    shown = epoch(LockedRand(1))
    padding = sum(int((b.lengths.max() - b.lengths).sum()) for b, _ in shown)
    assert padding < 0.06 * sum(int(b.lengths.sum()) for b, _ in shown)
    assert all((np.diff(b.lengths) <= 0).all() for b, _ in shown)
    # The batches themselves come in any order, else the network would see all long sentences first.
    assert np.abs(np.corrcoef([b.lengths.max() for b, _ in shown], np.arange(len(shown)))[0, 1]) < 0.3


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_words_seen_once_are_dropped_with_the_given_probability(probability: float, share: float) -> None:
    once = [f"once{i}" for i in range(2000)]
    vocabulary = Vocabulary(dict.fromkeys(once, 1) | {"often": 2}, (), ())
    kept = drop_rare([*once, "often", UNKNOWN], vocabulary, probability, LockedRand(3))
    assert kept[:2000].count(UNKNOWN) / 2000 == pytest.approx(share, abs=0.03)
    assert all(key in (word, UNKNOWN) for key, word in zip(kept, once, strict=False))
    assert kept[2000:] == ["often", UNKNOWN]


# --- the baseline ---------------------------------------------------------------------------------------------------


def test_the_baseline_gives_each_word_its_most_frequent_tag() -> None:
    baseline = MostFrequentTag(SMALL)
    assert baseline.tag(["BİR", "ılık", "ayran"]) == ["DET", "ADJ", "NOUN"]


def test_accuracy_is_the_share_of_words_with_their_tag() -> None:
    assert accuracy(SMALL, [["ADJ", "DET", "VERB"], ["ADJ", "NOUN"], ["DET"], ["DET", "NOUN"]]) == 6 / 8
