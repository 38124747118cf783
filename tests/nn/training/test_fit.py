"""The loop: what it computes, what it calls, and how it ends."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spago import ag, losses, nn, optim
from spago.mat import Array, FormatError
from spago.mat.rand import LockedRand
from spago.nn import training
from spago.nn.training import EarlyStopping, KeepBest, Run

X = np.linspace(-1, 1, 30, dtype=np.float32).reshape(10, 3)
Y = X @ np.array([[1], [-2], [0.5]], np.float32)
BATCHES = [(X[i : i + 2], Y[i : i + 2]) for i in range(0, 10, 2)]


def a_model() -> nn.Linear:
    return nn.Linear(3, 1, rng=LockedRand(1))


def loss(model: nn.Module, batch: tuple[Array, Array]) -> ag.Node:
    return losses.mse(model(batch[0]), batch[1])


def fit(model: nn.Linear, batches: Any = BATCHES, **settings: Any) -> Run:
    optimizer = settings.pop("optimizer", None) or optim.Adam(model, 0.05)
    return training.fit(model, loss, batches, optimizer, **{"progress": False, **settings})


def test_it_does_what_a_loop_by_hand_does() -> None:
    one, other = a_model(), a_model()
    run = fit(one, epochs=3)
    optimizer = optim.Adam(other, 0.05)
    by_hand: list[float] = []
    for _ in range(3):
        for batch in BATCHES:
            value = loss(other, batch)
            value.backward()
            optimizer.step()
            by_hand.append(value.item())
    assert one.weight.value.tobytes() == other.weight.value.tobytes()
    assert run.losses == by_hand
    assert [figures["loss"] for figures in run.epochs] == pytest.approx(np.reshape(by_hand, (3, 5)).mean(axis=1))
    assert (run.epoch, run.step, run.stopped) == (3, 15, "")


def test_accumulated_batches_make_the_step_of_one_large_batch() -> None:
    one, other = a_model(), a_model()
    fit(one, accumulate=2, epochs=2)
    whole = [(X[0:4], Y[0:4]), (X[4:8], Y[4:8]), (X[8:], Y[8:])]
    run = fit(other, whole, epochs=2)
    assert run.step == 6
    np.testing.assert_allclose(one.weight.value, other.weight.value, rtol=1e-5)


def test_gradients_from_before_do_not_count() -> None:
    one, other = a_model(), a_model()
    loss(one, BATCHES[0]).backward(100)
    fit(one)
    fit(other)
    assert one.weight.value.tobytes() == other.weight.value.tobytes()


def test_validation_is_without_dropout_and_without_a_graph() -> None:
    seen: list[tuple[bool, bool]] = []

    def validate(model: nn.Linear) -> dict[str, float]:
        seen.append((model.training, model(X).requires_grad))
        return {"error": np.float32(0.25)}  # type: ignore[dict-item]

    model = a_model().eval()
    run = fit(model, epochs=2, validate=validate)
    assert seen == [(False, False)] * 2
    assert model.training
    assert [figures["error"] for figures in run.epochs] == [0.25, 0.25]


def test_training_mode_comes_back_when_validation_fails() -> None:
    def validate(model: nn.Linear) -> dict[str, float]:
        raise RuntimeError("no data")

    model = a_model()
    with pytest.raises(RuntimeError, match="no data"):
        fit(model, validate=validate)
    assert model.training


def test_callbacks_are_called_after_epochs_and_steps() -> None:
    calls: list[str] = []
    fit(
        a_model(),
        epochs=2,
        callbacks=[lambda run: calls.append(f"epoch {run.epoch}")],
        step_callbacks=[lambda run: calls.append(f"step {run.step} batch {run.batch}")],
        accumulate=3,
    )
    assert calls == ["step 1 batch 3", "step 2 batch 5", "epoch 1", "step 3 batch 3", "step 4 batch 5", "epoch 2"]


def validating(figures: list[float]) -> Any:
    left = iter(figures)
    return lambda model: {"f1": next(left)}


def test_training_stops_when_a_figure_has_not_improved_for_long() -> None:
    stopping = EarlyStopping("f1", 1, mode="max")
    run = fit(
        a_model(), epochs=9, validate=validating([0.1, 0.3, 0.2, 0.4, 0.4, float("nan"), 9]), callbacks=[stopping]
    )
    assert run.epoch == 6
    assert run.stopped == "f1 has not improved since epoch 4"
    assert (stopping.best, stopping.epoch) == (0.4, 4)


def test_a_plateau_is_reported_by_a_callback_and_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    def run(path: Path, epochs: int) -> tuple[nn.Linear, float]:
        model, rate = a_model(), optim.ReduceOnPlateau(0.3, 0.5, patience=0)
        callbacks = [lambda run: rate.report(run.epochs[-1]["loss"])]
        fit(model, optimizer=optim.Adam(model, rate), callbacks=callbacks, epochs=epochs, checkpoint=path)
        return model, rate(0)

    unbroken, rate = run(tmp_path / "unbroken", 8)
    run(tmp_path / "run", 3)
    resumed, other = run(tmp_path / "run", 8)
    assert rate == other < 0.3
    assert resumed.weight.value.tobytes() == unbroken.weight.value.tobytes()


def test_the_best_model_is_kept(tmp_path: Path) -> None:
    model, other = a_model(), a_model()
    at: list[bytes] = []
    keep, file = KeepBest("f1", mode="max"), KeepBest("f1", mode="max", path=tmp_path / "best")
    fit(
        model,
        epochs=4,
        validate=validating([0.1, 0.5, 0.5, 0.2]),
        callbacks=[keep, file, lambda run: at.append(run.model.state_dict()["weight"].tobytes())],
    )
    assert model.weight.value.tobytes() == at[3]
    keep.restore(model)
    nn.load(other, tmp_path / "best")
    assert model.weight.value.tobytes() == other.weight.value.tobytes() == at[1] != at[3]
    assert nn.load_metadata(tmp_path / "best")["epoch"] == "2"
    with pytest.raises(ValueError, match="KeepBest: expected an epoch to go back to, got none"):
        file.restore(model)


def test_a_figure_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError, match="EarlyStopping: expected the name of a figure among loss, got f1"):
        fit(a_model(), callbacks=[EarlyStopping("f1")])


class Dies:
    """A callback that ends the process, as far as the test can see."""

    def __init__(self, step: int) -> None:
        self.at = step

    def __call__(self, run: Run) -> None:
        if run.step == self.at:
            raise SystemError("dead")


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("accumulate", [1, 2, 5])
def test_it_goes_on_from_a_checkpoint_after_any_step(tmp_path: Path, stateful: bool, accumulate: int) -> None:
    def some_batches() -> Any:
        if not stateful:
            return BATCHES
        return training.Batches(range(5), 1, lambda i: BATCHES[i[0]], seed=3)

    def settings(path: Path) -> dict[str, Any]:
        callbacks = [EarlyStopping(patience=9), KeepBest()]
        return {"epochs": 3, "accumulate": accumulate, "every": 1, "checkpoint": path, "callbacks": callbacks}

    run = fit(a_model(), some_batches(), **settings(tmp_path / "unbroken"))
    for step in range(1, run.step + 1):
        path = tmp_path / str(step)
        with pytest.raises(SystemError, match="dead"):
            fit(a_model(), some_batches(), **settings(path), step_callbacks=[Dies(step)])
        assert fit(a_model(), some_batches(), **settings(path)).losses == run.losses
        assert path.read_bytes() == (tmp_path / "unbroken").read_bytes()


def test_a_finished_run_does_nothing_and_more_epochs_go_on(tmp_path: Path) -> None:
    model = a_model()
    fit(model, epochs=2, checkpoint=tmp_path / "run")
    after = model.weight.value.copy()
    assert fit(model, epochs=2, checkpoint=tmp_path / "run").step == 10
    np.testing.assert_array_equal(model.weight.value, after)
    assert fit(model, epochs=3, checkpoint=tmp_path / "run").step == 15


def test_a_damaged_checkpoint_is_an_error_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "run"
    fit(a_model(), checkpoint=path)
    content = path.read_bytes()[:-3]
    path.write_bytes(content)
    model = a_model()
    with pytest.raises(FormatError, match="is the file complete"):
        fit(model, checkpoint=path)
    assert path.read_bytes() == content
    np.testing.assert_array_equal(model.weight.value, a_model().weight.value)


@pytest.mark.parametrize("at", [2, 5])
def test_ctrl_c_ends_after_the_step_with_everything_saved(tmp_path: Path, at: int) -> None:
    def press(run: Run) -> None:
        if run.step == at:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    model = a_model()
    run = fit(model, epochs=3, checkpoint=tmp_path / "run", step_callbacks=[press])
    assert (run.step, run.stopped) == (at, "interrupted")
    assert signal.getsignal(signal.SIGINT) is before
    saved = nn.load_arrays(tmp_path / "run")["model.weight"]
    assert saved.tobytes() == model.weight.value.tobytes()
    other, unbroken = a_model(), a_model()
    assert fit(other, epochs=3, checkpoint=tmp_path / "run").stopped == ""
    fit(unbroken, epochs=3)
    assert other.weight.value.tobytes() == unbroken.weight.value.tobytes()


def test_a_second_ctrl_c_ends_at_once() -> None:
    def press_twice(run: Run) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(a_model(), step_callbacks=[press_twice])
    assert signal.getsignal(signal.SIGINT) is before


def test_it_runs_in_any_thread() -> None:
    runs: list[Run] = []
    thread = threading.Thread(target=lambda: runs.append(fit(a_model())))
    thread.start()
    thread.join()
    assert runs[0].step == 5


class Shown:
    """What tells stderr to be a terminal or not."""

    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal
        self.text = ""

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...


@pytest.mark.parametrize("terminal", [False, True])
def test_without_tqdm_a_line_is_written_for_each_epoch(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(sys, "stderr", shown := Shown(terminal))
    fit(a_model(), epochs=2, progress=True)
    assert shown.text.count("\n") == 2
    assert "epoch 1/2: 5/5 steps, loss " in shown.text
    assert ("\r" in shown.text) is terminal


def test_tqdm_shows_a_bar_for_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    fit(a_model(), epochs=2, progress=True, accumulate=2)
    shown = capsys.readouterr().err
    assert "epoch 2/2: 100%" in shown
    assert "3/3" in shown
    assert "loss 0" in shown or "loss 1" in shown


def once() -> Iterator[tuple[Array, Array]]:
    yield from BATCHES


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"epochs": 0}, ValueError, "fit: expected epochs ≥ 1, got 0"),
        ({"accumulate": 0}, ValueError, "fit: expected accumulate ≥ 1, got 0"),
        ({"every": 0}, ValueError, "fit: expected every ≥ 1, got 0"),
        ({"batches": []}, ValueError, "fit: expected at least one batch in an epoch, got none"),
        ({"batches": once(), "epochs": 2}, TypeError, "iterated over 2 times, got generator, which can be only once"),
    ],
)
def test_what_cannot_be_is_an_error(settings: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        fit(a_model(), **settings)


def test_a_gradient_of_nan_stops_training_at_the_step_before(tmp_path: Path) -> None:
    model = a_model()
    batches = [*BATCHES[:2], (X[:2] * np.float32("nan"), Y[:2])]
    with pytest.raises(FloatingPointError, match="expected finite gradients"):
        fit(model, batches, checkpoint=tmp_path / "run", every=1)
    assert nn.load_arrays(tmp_path / "run")["model.weight"].tobytes() == model.weight.value.tobytes()


def test_settings_of_watches_are_checked() -> None:
    with pytest.raises(ValueError, match='EarlyStopping: expected mode="min" or "max", got \'mean\''):
        EarlyStopping(mode="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="EarlyStopping: expected patience ≥ 0, got -1"):
        EarlyStopping(patience=-1)
    with pytest.raises(ValueError, match="KeepBest: expected margin ≥ 0, got -1"):
        KeepBest(margin=-1)
    with pytest.raises(ValueError, match="KeepBest: expected the state of min loss, got that of max f1"):
        KeepBest().load_state_dict(KeepBest("f1", mode="max").state_dict())
