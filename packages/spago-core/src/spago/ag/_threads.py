"""A few threads that compute large results while Python goes on.

NumPy lets go of the interpreter while it computes, so that two large results can be computed at once. A task waits in
line until the tasks it depends on are done. Whoever asks for a result that is not there yet works through the line
himself until it is: with n threads there are n - 1 workers and the one that waits.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any

from spago.mat import piece_size

LARGE = 512 * 1024
"""Bytes from which on a function of each element is worth a task: putting it in line and taking it up costs 20 µs."""

LARGE_SUM = 8 * LARGE
"""Bytes from which on a sum or product is: the time for these is that of reading and writing memory."""

PIECE = 1024 * 1024
"""Bytes that a task works on at a time, where a formula is computed in pieces."""


class Task:
    """A result that is computed later.

    Args:
        function: What computes it from the results of other tasks.
        inputs: These tasks.
    """

    __slots__ = ("_context", "_error", "_followers", "_function", "_inputs", "_missing", "_result", "done")

    def __init__(self, function: Callable[..., Any], inputs: Sequence[Task] = ()) -> None:
        self.done = False
        self._function: Callable[..., Any] | None = function
        self._inputs = inputs
        self._followers: list[Task] = []
        self._missing = 0
        self._result: Any = None
        self._error: BaseException | None = None
        # A worker has its own settings of NumPy's error handling: it must use those of the thread that asked.
        self._context = copy_context()
        self._context.run(piece_size.set, PIECE)
        line.put(self)

    def result(self) -> Any:
        """Wait for the result.

        Raises:
            BaseException: What the function, or that of a task it depends on, has raised.
        """
        if not self.done:
            line.work_until(self)
        if self._error is not None:
            raise self._error
        return self._result

    def run(self) -> None:
        """Compute the result, then let those go that wait for it; called once, when all inputs are there."""
        assert self._function is not None
        try:
            self._result = self._context.run(self._function, *[task.result() for task in self._inputs])
        except BaseException as error:
            self._error = error
        # What the function holds is as large as the result.
        self._function, self._inputs = None, ()


class Line:
    """The tasks that can be run now, and the threads that run them.

    Attributes:
        threads: How many threads compute, the waiting one included.
        unfinished: How many tasks are not done.
        large: The number of bytes from which on a function's result is a task; ∞ while there is one thread.
        large_sum: The same for sums and products, unless what they need is a task.
    """

    def __init__(self, threads: int) -> None:
        self._changed = threading.Condition()
        self._ready: deque[Task] = deque()
        self._workers = 0
        self.unfinished = 0
        self.set_threads(threads)

    def set_threads(self, n: int) -> None:
        """Let n threads work; they start when they are first needed."""
        with self._changed:
            self.threads = n
            self.large: float = LARGE if n > 1 else float("inf")
            self.large_sum: float = LARGE_SUM if n > 1 else float("inf")
            self._changed.notify_all()

    def put(self, task: Task) -> None:
        """Take a task in."""
        with self._changed:
            self.unfinished += 1
            for needed in task._inputs:
                if not needed.done:
                    needed._followers.append(task)
                    task._missing += 1
            if not task._missing:
                self._ready.append(task)
                self._changed.notify()
            if self._workers < self.threads - 1:
                self._workers += 1
                threading.Thread(target=self._work, name=f"spago-{self._workers}", daemon=True).start()

    def work_until(self, task: Task | None) -> None:
        """Run tasks until the given one is done, or all are."""
        while True:
            with self._changed:
                while not self._ready and not self._is_done(task):
                    self._changed.wait()
                if self._is_done(task):
                    return
                # The oldest first: the given task waits for older ones, if for any.
                mine = self._ready.popleft()
            self._run(mine)

    def _is_done(self, task: Task | None) -> bool:
        return task.done if task is not None else not self.unfinished

    def _work(self) -> None:
        """What a worker does, until there are too many of them."""
        while True:
            with self._changed:
                while not self._ready and self._workers < self.threads:
                    self._changed.wait()
                if self._workers >= self.threads:
                    self._workers -= 1
                    return
                mine = self._ready.popleft()
            self._run(mine)

    def _run(self, task: Task) -> None:
        task.run()
        with self._changed:
            task.done = True
            self.unfinished -= 1
            for follower in task._followers:
                follower._missing -= 1
                if not follower._missing:
                    self._ready.append(follower)
            task._followers = []
            self._changed.notify_all()

    # A forked child has no workers: what is in line must be done before, and the lock free.

    def before_fork(self) -> None:
        """Finish all tasks, and let no other begin."""
        self.work_until(None)
        self._changed.acquire()

    def after_fork(self) -> None:
        """Go on in the parent."""
        self._changed.release()

    def after_fork_in_child(self) -> None:
        """Begin anew in the child, with no worker yet."""
        self._changed = threading.Condition()
        self._workers = 0


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


line = Line(processors())

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=line.before_fork, after_in_parent=line.after_fork, after_in_child=line.after_fork_in_child
    )


def set_num_threads(n: int | None = None) -> None:
    """Set how many threads compute large results: 1 for none but the caller's, None for the processors there are.

    Results do not depend on it. How many threads NumPy's matrix products use is set elsewhere: by the environment
    variables of the library that NumPy was built with, such as OPENBLAS_NUM_THREADS.

    Raises:
        ValueError: When n is below 1.
    """
    count = processors() if n is None else n
    if count < 1:
        raise ValueError(f"set_num_threads: expected at least 1 thread, got {n}")
    line.set_threads(count)


def synchronize() -> None:
    """Wait until all results are computed that have been begun, by whatever thread.

    Needed before an array is changed in place that such a result may still read; the optimizers do it.
    """
    if line.unfinished:
        line.work_until(None)


def run_together(calls: Sequence[Callable[[], object]]) -> None:
    """Make calls that do not depend on one another, as many at a time as there are threads; return when all have ended.

    It is worth it for calls that take 0.1 ms or more in NumPy, which lets other threads run meanwhile.

    Raises:
        BaseException: What the first of those that failed has raised.
    """
    tasks = [Task(call) for call in calls]
    for task in tasks:
        line.work_until(task)
    for task in tasks:
        task.result()


def get_num_threads() -> int:
    """Return how many threads compute large results."""
    return line.threads
