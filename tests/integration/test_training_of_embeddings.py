"""The rows of an embedding store are trained as parameters of their own would be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spago import ag, nn, optim
from spago.embeddings import MemoryRepository, Model

WORDS = ["ev", "at", "su", "el"]
BATCHES = [["ev", "at"], ["at", "at", "su"], ["su", "ev", "at"], ["el"]]
METHODS: list[Callable[[Any], optim.Optimizer]] = [
    lambda params: optim.SGD(params, 0.1, momentum=0.9, clip_norm=0.5),
    lambda params: optim.Adam(params, 0.1, clip_norm=0.5),
    lambda params: optim.AdaGrad(params, 0.1, weight_decay=0.01),
    lambda params: optim.RAdam(params, 0.1),
]


@pytest.mark.parametrize("make", METHODS)
def test_words_on_disk_are_trained_as_parameters(make: Callable[[Any], optim.Optimizer]) -> None:
    start = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    with MemoryRepository() as repository:
        model = Model(repository.store("words"), 3)
        model.set_many(WORDS, start)
        parameters = {word: nn.Param(row.copy()) for word, row in zip(WORDS, start, strict=True)}
        on_disk, in_memory = make(model), make(list(parameters.values()))
        for batch in BATCHES:
            looked_up = model.embed_many(batch)
            ag.sum(looked_up * looked_up * looked_up).backward()
            for word in batch:
                (parameters[word] * parameters[word] * parameters[word]).backward()
            on_disk.step()
            in_memory.step()
        for word in WORDS:
            vector, stored, kept = model.get(word), model.payload(word), parameters[word].payload
            assert vector is not None
            assert stored is not None
            assert kept is not None
            np.testing.assert_allclose(vector, parameters[word].value, rtol=1e-6)
            assert stored.arrays.keys() == kept.arrays.keys()
            for name, array in kept.arrays.items():
                np.testing.assert_allclose(stored.arrays[name], array, rtol=1e-5, atol=1e-9)


def test_words_with_the_state_of_another_method_are_refused_with_advice() -> None:
    with MemoryRepository() as repository:
        model = Model(repository.store("words"), 3)
        model.set_many(WORDS, np.ones((4, 3), np.float32))
        ag.sum(model.embed_many(["ev"])).backward()
        optim.Adam(model).step()
        ag.sum(model.embed_many(["ev"])).backward()
        with pytest.raises(
            ValueError, match=r"SGD: expected for rows the state of SGD, .* got that of Adam; .*clear_state"
        ):
            optim.SGD(model, momentum=0.9).step()
        model.zero_grad()
        model.clear_state()
        ag.sum(model.embed_many(["ev"])).backward()
        assert optim.SGD(model, momentum=0.9).step()
