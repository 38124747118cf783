"""A training loop for those who want one. It uses nothing but what is public; copy it where it does not fit."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias, TypeVar

from spago import ag
from spago.nn._atomic_write import remove_leftovers
from spago.nn._module import Module
from spago.nn._safetensors import PathLike
from spago.nn.training._checkpoint import Part, load_checkpoint, save_checkpoint
from spago.nn.training._metrics import MovingAverage
from spago.nn.training._progress import progress_bar
from spago.nn.training._run import INTERRUPTED, Run
from spago.nn.training._stateful import Optimizer, is_stateful

Batch = TypeVar("Batch")
M = TypeVar("M", bound=Module)

Callback: TypeAlias = Callable[[Run], object]
"""Is called with the run; one that has a state takes part in checkpoints."""


def fit(
    model: M,
    loss: Callable[[M, Batch], ag.Node],
    batches: Iterable[Batch],
    optimizer: Optimizer,
    *,
    epochs: int = 1,
    accumulate: int = 1,
    validate: Callable[[M], Mapping[str, float]] | None = None,
    callbacks: Sequence[Callback] = (),
    step_callbacks: Sequence[Callback] = (),
    checkpoint: PathLike | None = None,
    every: int | None = None,
    parts: Mapping[str, Part] | None = None,
    progress: bool = True,
) -> Run:
    """Train a model, and return what it has come to.

    Ctrl-C ends training after the step at hand, with everything saved; a second one ends it at once.

    With a checkpoint, training that was stopped in any way goes on from there when the same call is made again, and
    ends with the same parameters, bit by bit, as if it had not been stopped; but what keeps its state itself, as an
    embedding store on disk does, is not set back to the checkpoint. A run that had come to its end does
    nothing; a file of another run is an error, and stays.

    Args:
        model: What is trained. It is in training mode but for the calls of validate.
        loss: Returns the loss of a batch, a number, such as the mean over its items.
        batches: The batches of an epoch, iterated over once an epoch: `Batches`, or any list of them. Where these have
            no state of their own, they must come in the same order again when training goes on.
        optimizer: What trains it, from `spago.optim`.
        epochs: How many there are in all.
        accumulate: How many batches make a step, by the mean of their losses; the last step of an epoch may have fewer.
        validate: Returns figures by name, after each epoch, with the model in evaluation mode and no graph: metrics on
            data that it does not learn from.
        callbacks: Called in order after each epoch, such as `EarlyStopping` and `KeepBest`.
        step_callbacks: Called in order after each step.
        checkpoint: A file for `save_checkpoint`, written after each epoch and at the end, by this run alone.
        every: Write it after so many steps as well.
        parts: What else has a state, by name, such as the random stream of what makes the batches.
        progress: Whether to show a bar for each epoch, by tqdm where it is installed.

    Raises:
        TypeError: When batches can be iterated over only once, and there are several epochs.
        ValueError: When a number is out of range, an epoch has no batches, or the checkpoint is of something else.
        FormatError: When the checkpoint is damaged.

    Examples:
        >>> import numpy as np
        >>> from spago import losses, nn, optim
        >>> from spago.nn import training
        >>> model = nn.Linear(1, 1)
        >>> examples = [(np.float32([x]), np.float32([2 * x])) for x in range(4)]
        >>> run = training.fit(
        ...     model,
        ...     lambda model, batch: losses.mse(model(batch[0]), batch[1]),
        ...     training.Batches(examples, 2, lambda pairs: tuple(map(np.stack, zip(*pairs)))),
        ...     optim.SGD(model, 0.1),
        ...     epochs=50,
        ...     progress=False,
        ... )
        >>> run.step, round(model.weight.item(), 2)
        (100, 2.0)
    """
    _check(batches, epochs, accumulate, every)
    run = Run(model, optimizer)
    everything = _taking_part(run, batches, [*callbacks, *step_callbacks], parts)
    optimizer.zero_grad()
    if checkpoint is not None and Path(checkpoint).exists():
        load_checkpoint(checkpoint, model, optimizer, parts=everything)
    if checkpoint is not None:
        remove_leftovers(checkpoint)

    def save() -> None:
        if checkpoint is not None:
            save_checkpoint(checkpoint, model, optimizer, parts=everything)

    model.train()
    with _ending_cleanly(run):
        while run.epoch < epochs and not run.stopped:
            title, average = f"epoch {run.epoch + 1}/{epochs}", MovingAverage()
            with progress_bar(title, run.step_of_epoch, _steps(batches, accumulate), shown=progress) as show:
                for group in run.groups(batches, accumulate):
                    run.losses.append(_step(model, loss, group, optimizer))
                    show(run.step_of_epoch, f"loss {average.update(run.losses[-1]):.4g}")
                    if not run.tell(step_callbacks):
                        break
                    if every is not None and run.step % every == 0:
                        save()
                else:
                    steps, figures = run.step_of_epoch, run.end_epoch()
                    figures |= _validated(model, validate)
                    show(steps, ", ".join(f"{name} {x:.4g}" for name, x in figures.items()))
                    run.tell(callbacks)
            save()
    return run


def _step(model: M, loss: Callable[[M, Batch], ag.Node], group: Sequence[Batch], optimizer: Optimizer) -> float:
    """Make one step, by the mean of the losses of some batches, and return it."""
    total = 0.0
    for batch in group:
        value = loss(model, batch)
        value.backward(1 / len(group))
        total += value.item() / len(group)
    optimizer.step()
    return total


def _validated(model: M, validate: Callable[[M], Mapping[str, float]] | None) -> dict[str, float]:
    if validate is None:
        return {}
    model.eval()
    try:
        with ag.no_grad():
            return {name: float(x) for name, x in validate(model).items()}
    finally:
        model.train()


@contextmanager
def _ending_cleanly(run: Run) -> Generator[None]:
    """Let the first Ctrl-C stop the run instead of what it is doing; only the main thread receives any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signal_number: int, frame: FrameType | None) -> None:
        if run.stopped == INTERRUPTED:
            signal.default_int_handler(signal_number, frame)
        run.stop(INTERRUPTED)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _taking_part(
    run: Run, batches: Iterable[Any], callbacks: Sequence[Callback], parts: Mapping[str, Part] | None
) -> dict[str, Part]:
    """What the checkpoints of a run hold beside model and optimizer, by name."""
    everything: dict[str, Part] = {f"given.{name}": part for name, part in (parts or {}).items()} | {"run": run}
    if is_stateful(batches):
        everything["batches"] = batches
    return everything | {f"callback.{i}": each for i, each in enumerate(callbacks) if is_stateful(each)}


def _steps(batches: Iterable[Any], accumulate: int) -> int | None:
    """The number of steps of an epoch, where it is known."""
    try:
        return -(-len(batches) // accumulate) if isinstance(batches, Sized) else None
    except TypeError:  # batches of a stream have none
        return None


def _check(batches: Iterable[Any], epochs: int, accumulate: int, every: int | None) -> None:
    for name, number in (("epochs", epochs), ("accumulate", accumulate), ("every", every)):
        if number is not None and number < 1:
            raise ValueError(f"fit: expected {name} ≥ 1, got {number}")
    if epochs > 1 and isinstance(batches, Iterator):
        raise TypeError(
            f"fit: expected batches that can be iterated over {epochs} times, got {type(batches).__name__}, which can "
            "be only once; pass a list, or training.Batches"
        )
