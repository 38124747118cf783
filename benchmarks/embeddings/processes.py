"""A measurement in a process of its own, and what memory it took."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Memory:
    """The largest resident memory of this process since the start of the watch, in MB.

    Attributes:
        anonymous: Of its own: arrays, objects, LevelDB's buffers.
        file: Pages of files that are mapped, LevelDB's tables, which the system takes back when it needs memory.
    """

    anonymous: float = 0
    file: float = 0
    _base: tuple[float, float] = field(default=(0, 0))
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Memory":
        self._base = resident()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._look()
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self._look()

    def _look(self) -> None:
        anonymous, file = resident()
        self.anonymous = max(self.anonymous, anonymous - self._base[0])
        self.file = max(self.file, file - self._base[1])

    def __str__(self) -> str:
        return f"+{self.anonymous:.0f} MB anonymous, +{self.file:.0f} MB of mapped files"


def resident() -> tuple[float, float]:
    """Return the resident memory of this process in MB: anonymous, and of files."""
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return tuple(int(fields[name].split()[0]) / 1000 for name in ("RssAnon", "RssFile"))  # type: ignore[return-value]


def in_a_process(measure: Callable[[Path, int, int], None], folder: Path, words: int, size: int) -> None:
    """Run a measurement in a new process and wait for it."""
    process = multiprocessing.get_context("spawn").Process(target=measure, args=(folder, words, size))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{measure.__name__}: ended with status {process.exitcode}")


class Clock:
    """Seconds of a block, by the clock and of this process on all processors."""

    def __enter__(self) -> "Clock":
        self._start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *exception: object) -> None:
        self.seconds = time.perf_counter() - self._start[0]
        self.processor = time.process_time() - self._start[1]
