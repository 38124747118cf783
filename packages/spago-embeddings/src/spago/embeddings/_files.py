"""Opening files of vectors: as they are, or compressed with gzip or zip; and writing them whole or not at all."""

from __future__ import annotations

import gzip
import importlib
import io
import os
import secrets
import zipfile
import zlib
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

from spago.mat import FormatError

Progress: TypeAlias = bool | Callable[[int, int], object] | None
"""What is told how far a long job is: a function of what is done and of the total, or True for a bar by tqdm."""

DAMAGED = (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, EOFError)
"""What is raised when compressed data are damaged."""


class Source:
    """A file that is open for reading, its content decompressed.

    Attributes:
        name: For messages.
        content: The bytes.
        size: The bytes of the file on disk, or of the member of a zip file.
        is_plain: Whether the file is not compressed.
    """

    def __init__(self, name: str, content: IO[bytes], raw: IO[bytes], size: int, is_plain: bool) -> None:
        self.name = name
        self.content = content
        self.size = size
        self.is_plain = is_plain
        self._raw = raw
        self._ahead = b""

    def peek(self, count: int) -> bytes:
        """Return the next bytes and leave them to be read."""
        self._ahead += self._read(count - len(self._ahead))
        return self._ahead[:count]

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer than count only at the end.

        Raises:
            FormatError: The file is compressed, and damaged.
        """
        ahead, self._ahead = self._ahead[:count], self._ahead[count:]
        return ahead + self._read(count - len(ahead))

    def _read(self, count: int) -> bytes:
        parts: list[bytes] = []
        try:
            while count > 0 and (part := self.content.read(count)):
                parts.append(part)
                count -= len(part)
        except DAMAGED as error:
            raise FormatError(
                f"{self.name}: expected whole compressed data, got: {error}; fetch the file again"
            ) from error
        return b"".join(parts)

    def done(self) -> int:
        """Return how many of `size` bytes have been read."""
        ahead = len(self._ahead) if self.is_plain else 0
        return min(self._raw.tell() - ahead, self.size)


@contextmanager
def open_source(path: str | os.PathLike[str], member: str | None = None) -> Generator[Source]:
    """Open a file by what it begins with: gzip, zip, or neither.

    Args:
        path: The file.
        member: Which file of a zip file; may be left out when there is one.

    Raises:
        FormatError: A zip file is damaged.
        ValueError: A zip file holds several files and none was named, or not the one that was.
    """
    path = Path(path)
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        size = os.fstat(raw.fileno()).st_size
        start = raw.peek(4)[:4]
        if start[:2] == b"\x1f\x8b":
            content = cast("IO[bytes]", stack.enter_context(gzip.GzipFile(fileobj=raw)))
            yield Source(str(path), content, raw, size, is_plain=False)
        elif start == b"PK\x03\x04" and path.suffix != ".npz":
            try:
                archive = stack.enter_context(zipfile.ZipFile(raw))
            except DAMAGED as error:
                raise FormatError(f"{path}: expected a whole zip file, got: {error}; fetch it again") from error
            info = _member(archive, path, member)
            content = stack.enter_context(archive.open(info))
            yield Source(f"{path}:{info.filename}", content, content, info.file_size, is_plain=False)
        else:
            yield Source(str(path), raw, raw, size, is_plain=True)


def _member(archive: zipfile.ZipFile, path: Path, member: str | None) -> zipfile.ZipInfo:
    infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    if member is None and len(infos) == 1:
        return next(iter(infos.values()))
    if member not in infos:
        raise ValueError(f"{path}: expected a member of {sorted(infos)[:10]}, got {member!r}; name one of them")
    return infos[member]


def stem_of(path: str | os.PathLike[str]) -> str:
    """Return the name of a file without `.gz` and `.zip`, in lower case: what is inside.

    Examples:
        >>> stem_of("wiki.EN.vec.gz")
        'wiki.en.vec'
    """
    name = Path(path).name.lower()
    return name.removesuffix(".gz").removesuffix(".zip")


@contextmanager
def open_target(path: str | os.PathLike[str]) -> Generator[IO[bytes]]:
    """Open a file that takes the place of path when the block ends; compressed when path ends in .gz or .zip."""
    path = Path(path)
    with replacing(path) as temporary, ExitStack() as stack:
        raw = stack.enter_context(temporary.open("wb"))
        if path.suffix == ".gz":
            file = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6)
            yield cast("IO[bytes]", stack.enter_context(file))
        elif path.suffix == ".zip":
            archive = stack.enter_context(zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED))
            yield stack.enter_context(archive.open(path.stem, "w", force_zip64=True))
        else:
            yield stack.enter_context(io.BufferedWriter(raw, 1 << 20))


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Hand out a path in the same folder for a file that is to take the place of path; thrown away on failure."""
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def reporting(progress: Progress, unit: str, title: str) -> Generator[Callable[[int, int], object]]:
    """Hand out the function to tell how far a job is.

    Args:
        progress: A function; True for a bar, where tqdm is installed; nothing is shown otherwise.
        unit: What is counted, such as B for bytes.
        title: What the bar is called.
    """
    if progress is not True:
        yield progress or (lambda done, total: None)
        return
    try:
        tqdm: Any = importlib.import_module("tqdm").tqdm
    except ModuleNotFoundError:
        yield lambda done, total: None
        return
    with tqdm(desc=title, unit=unit, unit_scale=True) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
