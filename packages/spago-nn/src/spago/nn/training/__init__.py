"""Training: mini-batches, a loop, metrics, and checkpoints from which it goes on as if it had never stopped.

`fit` is a loop over the parts, which all are of use without it:

    optimizer = optim.Adam(model, 1e-3)
    batches = training.Batches(sentences, 32, make_batch, length=len, seed=1)
    for epoch in range(10):
        for batch in batches:
            loss(model, batch).backward()
            optimizer.step()
        training.save_checkpoint("run", model, optimizer, parts={"batches": batches}, data={"epoch": epoch})

It knows optimizers by what they do (`Optimizer`), so any object with these methods will do.
"""

from spago.nn.training._batches import Batches, BatchesState, Padded, TextLines, pad
from spago.nn.training._checkpoint import Part, load_checkpoint, save_checkpoint
from spago.nn.training._fit import Callback, fit
from spago.nn.training._metrics import (
    Average,
    MovingAverage,
    Scores,
    accuracy,
    average_scores,
    class_scores,
    f1,
    perplexity,
    precision,
    recall,
)
from spago.nn.training._run import Run
from spago.nn.training._spans import Span, span_f1, span_scores, spans
from spago.nn.training._stateful import Optimizer, Stateful
from spago.nn.training._watch import EarlyStopping, KeepBest

__all__ = [
    "Average",
    "Batches",
    "BatchesState",
    "Callback",
    "EarlyStopping",
    "KeepBest",
    "MovingAverage",
    "Optimizer",
    "Padded",
    "Part",
    "Run",
    "Scores",
    "Span",
    "Stateful",
    "TextLines",
    "accuracy",
    "average_scores",
    "class_scores",
    "f1",
    "fit",
    "load_checkpoint",
    "pad",
    "perplexity",
    "precision",
    "recall",
    "save_checkpoint",
    "span_f1",
    "span_scores",
    "spans",
]
