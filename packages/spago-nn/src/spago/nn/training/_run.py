"""What a training run has come to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from spago.nn._module import Module
from spago.nn.training._stateful import Optimizer, is_stateful

Batch = TypeVar("Batch")

INTERRUPTED = "interrupted"


class Run:
    """What a training run has come to: what callbacks see, and what `fit` returns.

    Args:
        model: What is trained.
        optimizer: What trains it.

    Attributes:
        epoch: How many epochs are complete.
        batch: How many batches of the present epoch are done.
        losses: The loss of each step, the mean of its batches.
        epochs: The figures of each epoch that is complete: "loss", the mean of its steps, and what `validate` returned.
        stopped: Why training ended before its last epoch: "interrupted" by Ctrl-C, or what `stop` was told; else "".
    """

    def __init__(self, model: Module, optimizer: Optimizer) -> None:
        self.model = model
        self.optimizer = optimizer
        self.epoch = 0
        self.batch = 0
        self.losses: list[float] = []
        self.epochs: list[dict[str, float]] = []
        self.stopped = ""
        self._first_step = 0  # of the present epoch
        self._ended = False  # no batches are left in it

    @property
    def step(self) -> int:
        """How many steps are done."""
        return len(self.losses)

    @property
    def step_of_epoch(self) -> int:
        """How many steps of the present epoch are done."""
        return self.step - self._first_step

    def stop(self, reason: str) -> None:
        """End training when the step at hand is done; the present epoch stays incomplete, unless it has ended."""
        self.stopped = reason

    def tell(self, callbacks: Iterable[Callable[[Run], object]]) -> bool:
        """Call each of them with this run, and return whether training goes on."""
        for callback in callbacks:
            callback(self)
        return not self.stopped

    def groups(self, batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
        """The batches that are left in the present epoch, those of each step together."""
        if self._ended:
            return
        left = iter(batches)
        if not is_stateful(batches):
            left = islice(left, self.batch, None)
        while group := list(islice(left, size)):
            self.batch += len(group)
            self._ended = len(group) < size
            yield group
        self._ended = True

    def end_epoch(self) -> dict[str, float]:
        """Count the present epoch as complete, and return its figures.

        Raises:
            ValueError: When it had no batches.
        """
        if not self.batch:
            raise ValueError(
                "fit: expected at least one batch in an epoch, got none; is it an iterator that is used up?"
            )
        figures = {"loss": math.fsum(self.losses[self._first_step :]) / max(1, self.step_of_epoch)}
        self.epochs.append(figures)
        self.epoch += 1
        self.batch, self._first_step, self._ended = 0, self.step, False
        return figures

    # State

    def state_dict(self) -> dict[str, Any]:
        """Return what there is to remember."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "losses": np.array(self.losses, np.float64),
            "epochs": self.epochs,
            # Who calls fit again after Ctrl-C wants to go on.
            "stopped": "" if self.stopped == INTERRUPTED else self.stopped,
            "first_step": self._first_step,
            "ended": self._ended,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        losses: list[float] = state["losses"].tolist()
        epochs = [dict(figures) for figures in state["epochs"]]
        epoch, batch, first_step = int(state["epoch"]), int(state["batch"]), int(state["first_step"])
        self.stopped, self._ended = str(state["stopped"]), bool(state["ended"])
        self.epoch, self.batch, self._first_step = epoch, batch, first_step
        self.losses, self.epochs = losses, epochs
