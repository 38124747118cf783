"""Train a part-of-speech tagger on the Google Turkish Web Treebank, or tag a sentence with it.

Training takes one to two minutes on two processors. It ends with the accuracy on the test sentences beside that of the
most-frequent-tag baseline, and writes to the output folder: the network (network.safetensors), the vocabulary, the word
vectors (words/, a LevelDB store), the loss curve (loss.png) and the network's graph (network.dot).
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from examples.tagger.data import MostFrequentTag, Vocabulary, accuracy
from examples.tagger.model import NETWORK, new_tagger, open_tagger, save
from examples.tagger.pictures import draw_history, draw_network
from examples.tagger.sentences import side_by_side, words_of
from examples.tagger.settings import Settings
from examples.tagger.training import measure, train
from examples.tagger.treebank import Sentence, Split, load_treebank, read_conllu, split

OUTPUT = Path("build") / "tagger"
BAD_INPUT = 2  # the exit status for what the user can mend


def main() -> int:
    """Do what the command line asks for, and return the exit status."""
    arguments = parse_arguments()
    try:
        if arguments.command == "tag":
            tag(arguments.sentence, arguments.model)
        else:
            learn(arguments)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\ninterrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


def learn(arguments: argparse.Namespace) -> None:
    """Train, measure, write, and tag a test sentence in a new process."""
    output: Path = arguments.output
    check_output(output)
    parts = load(arguments)
    settings = replace(Settings(), seed=arguments.seed, epochs=arguments.epochs)
    vocabulary = Vocabulary.of(parts.train)
    print(describe(parts, vocabulary, settings))

    with new_folder(output) as folder:
        with new_tagger(folder, vocabulary, settings) as tagger:
            history = train(tagger, settings, parts.train, parts.dev, settings.seed)
            baseline = MostFrequentTag(parts.train)
            baseline_accuracy = accuracy(parts.test, [baseline.tag(sentence.words) for sentence in parts.test])
            print(f"\ntest accuracy        {measure(tagger, parts.test):7.2%}")
            print(f"most frequent tag    {baseline_accuracy:7.2%}")
            print(f"training took        {history.seconds:5.0f} s")
            save(tagger, folder, settings)
            draw_network(tagger, shortest(parts.test), folder / "network.dot")
        draw_history(history, folder / "loss.png")
    print(f"\n{output} holds the tagger, its word vectors, loss.png and network.dot. Opened again in a new process:\n")
    sentence = " ".join(example(parts.test).words)
    print(f'> hatch run demo tag "{sentence}"', flush=True)
    command = [sys.executable, "-m", "examples.tagger", "tag", "--model", str(output), "--", sentence]
    subprocess.run(command, check=True)


def tag(text: str, folder: Path) -> None:
    """Tag one sentence with the tagger in folder, and print it."""
    words = words_of(text)
    with open_tagger(folder) as tagger:
        print(side_by_side(words, tagger.tag_sentence(words)))


def load(arguments: argparse.Namespace) -> Split:
    """Return the sentences that the command line asks for."""
    if arguments.treebank:
        sentences = [sentence for path in arguments.treebank for sentence in read_conllu(path)]
        parts = split(sentences, train=len(sentences) * 4 // 5)
    else:
        parts = load_treebank()
    if arguments.sentences:
        parts = replace(parts, train=parts.train[: arguments.sentences])
    return parts


def describe(parts: Split, vocabulary: Vocabulary, settings: Settings) -> str:
    """Return what is about to happen, in words."""
    sizes = [
        f"{len(part):,} sentences ({sum(map(len, part)):,} tokens)" for part in (parts.train, parts.dev, parts.test)
    ]
    unknown = [vocabulary.key(word) not in vocabulary.words for sentence in parts.test for word in sentence.words]
    return (
        f"training    {sizes[0]}: {len(vocabulary.words):,} words, {len(vocabulary.characters)} characters, "
        f"{len(vocabulary.tags)} tags\n"
        f"development {sizes[1]}\n"
        f"test        {sizes[2]}, {sum(unknown) / len(unknown):.1%} unknown words\n"
        f"seed {settings.seed}, {settings.epochs} epochs\n"
    )


def example(sentences: list[Sentence]) -> Sentence:
    """Return a sentence of a length that is good to look at, and whose words are plain to see."""
    plain = [sentence for sentence in sentences if words_of(" ".join(sentence.words)) == list(sentence.words)]
    return min(plain or sentences, key=lambda sentence: abs(len(sentence) - 10))


def shortest(sentences: list[Sentence]) -> Sentence:
    """Return the shortest sentence of at least three words: its graph is good to look at."""
    return min((s for s in sentences if len(s) > 2), key=len, default=sentences[0])


def check_output(output: Path) -> None:
    """Make sure that writing the result will not destroy anything but an older result."""
    if output.exists() and not (output / NETWORK).is_file() and any(output.iterdir()):
        raise FileExistsError(
            f"{output}: expected a folder with an older tagger, got one with other files; use --output"
        )


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Give a temporary folder beside output, which takes its place at the end and vanishes when something fails."""
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = output.with_name(f".{output.name}-{uuid4().hex}")
    folder.mkdir()
    try:
        yield folder
        old = folder.with_name(f"{folder.name}-old")
        if output.exists():
            output.rename(old)
        folder.rename(output)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def parse_arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="hatch run demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Settings()
    parser.add_argument(
        "--epochs", type=positive, default=default.epochs, help="passes over the sentences (default: %(default)s)"
    )
    parser.add_argument("--sentences", type=positive, help="how many sentences to learn from (default: all 4,000)")
    parser.add_argument("--seed", type=int, default=default.seed, help="of everything random (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder to write to (default: %(default)s)")
    parser.add_argument(
        "--treebank", type=Path, nargs="+", metavar="FILE", help="CoNLL-U files to use instead, split 80 : 10 : 10"
    )
    commands = parser.add_subparsers(dest="command", title="commands")
    tagging = commands.add_parser("tag", help="tag a sentence with the trained tagger")
    tagging.add_argument("sentence", help="the sentence, in quotes")
    tagging.add_argument(
        "--model", type=Path, default=OUTPUT, help="the trained tagger's folder (default: %(default)s)"
    )
    return parser.parse_args()


def positive(text: str) -> int:
    """Return a number from a command line that must be at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
