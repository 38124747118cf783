"""Looking up, training and storing the vectors of words."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spago import ag, nn
from spago.embeddings import (
    DamagedRecordError,
    EmbeddedWords,
    Embedding,
    LevelDBRepository,
    MemoryRepository,
    Model,
    Repository,
    Store,
    StoreError,
    TouchedRows,
    check,
)
from spago.mat import FormatError, ShapeError

MakeRepository = Callable[[Path], Repository]


@pytest.fixture
def model(store: Store) -> Model:
    model = Model(store, 2)
    model.set_many(["ev", "at", "su"], [[1, 2], [3, 4], [5, 6]])
    return model


def touched(model: Model) -> TouchedRows:
    (rows,) = model.parameters()
    return rows


def grads_of(model: Model) -> dict[bytes, list[float]]:
    rows = touched(model)
    return {} if rows.grad is None else dict(zip(rows.keys, rows.grad.tolist(), strict=True))


def adam(rows: nn.Trainable) -> None:
    """A step that needs its state: m counts the steps, v the gradients."""
    payload = rows.payload or nn.Payload("Adam", {"m": np.zeros_like(rows.value), "v": np.zeros_like(rows.value)})
    payload.arrays["m"] += 1
    payload.arrays["v"] += rows.grad
    rows.payload = payload
    rows.value -= payload.arrays["v"]
    rows.commit()
    rows.zero_grad()


# Looking up


def test_words_are_looked_up_in_order(model: Model) -> None:
    node = model.embed_many(["su", "ev", "su"])
    np.testing.assert_array_equal(node.value, [[5, 6], [1, 2], [5, 6]])
    assert node.value.dtype == np.float32
    np.testing.assert_array_equal(model.get_many(["at"]), [[3, 4]])


def test_no_words_are_no_rows(model: Model) -> None:
    assert model.embed_many([]).shape == (0, 2)
    assert not model.embed_many([]).requires_grad


def test_an_absent_word_is_none(model: Model) -> None:
    assert model.embed("yok") is None
    assert model.get("yok") is None
    assert "yok" not in model
    assert "ev" in model
    assert len(model) == 3


def test_absent_words_among_many_are_named(model: Model) -> None:
    with pytest.raises(KeyError, match=r"embeddings: expected words of the store, got 2 of 3 .* such as 'yok'; leave"):
        model.embed_many(["ev", "yok", "hiç"])


def test_words_may_be_text_bytes_and_integers(store: Store) -> None:
    model = Model(store, 1)
    model.set_many(["ev", b"\xff", 258, -1], [[1], [2], [3], [4]])
    assert list(model.keys()) == [b"\x02\x01" + bytes(6), b"ev", b"\xff", b"\xff" * 8]
    np.testing.assert_array_equal(model.get_many([258, b"ev", b"\xff", np.int64(-1).item()]), [[3], [1], [2], [4]])
    nodes = [model.embed("ev"), model.embed(b"\xff"), model.embed(258)]
    names = [node.name for node in nodes if node is not None]
    assert names == ["ev", "FF", "258"]


def test_other_words_are_refused(model: Model) -> None:
    with pytest.raises(TypeError, match="expected a word of str, bytes or int, got float"):
        model.embed_many([cast("int", 1.5)])
    with pytest.raises(ValueError, match=r"expected an integer of at most 64 bits, got 18446744073709551616"):
        model.embed(2**64)


def test_zeros_stand_for_unknown_words_without_gradient(store: Store) -> None:
    model = Model(store, 2, unknown="zero")
    model.set("ev", [1, 2])
    node = model.embed_many(["yok", "ev", "hiç", "ev"])
    np.testing.assert_array_equal(node.value, [[0, 0], [1, 2], [0, 0], [1, 2]])
    node.acc_grad(np.ones((4, 2)))
    assert touched(model).keys == [b"ev"]
    np.testing.assert_array_equal(node.grad, [[0, 0], [2, 2], [0, 0], [2, 2]])
    single = model.embed("yok")
    assert single is not None
    assert not single.requires_grad
    assert not model.embed_many(["yok"]).requires_grad


def test_a_function_may_stand_for_unknown_words(store: Store) -> None:
    model = Model(store, 2, unknown=lambda word: [len(str(word)), 0] if word != "yok" else None)
    model.set("ev", [1, 2])
    np.testing.assert_array_equal(model.get_many(["kitap", "ev", "at"]), [[5, 0], [1, 2], [2, 0]])
    assert model.embed("yok") is None
    with pytest.raises(KeyError, match="'yok'"):
        model.embed_many(["kitap", "yok"])


def test_a_vector_for_unknown_words_is_trained_and_stored(repository: Repository) -> None:
    model = Model(repository.store("words"), 2, unknown="train")
    model.set("ev", [1, 2])
    node = model.embed_many(["yok", "ev", "hiç", "<unk>"])
    node.acc_grad(np.array([[1, 0], [10, 0], [2, 0], [4, 0]]))
    assert model.embed("yok") is model.embed("<unk>")
    assert grads_of(model) == {b"ev": [10, 0], b"<unk>": [7, 0]}
    rows = touched(model)
    rows.value -= rows.grad
    rows.commit()
    again = Model(repository.store("words"), unknown="train")
    np.testing.assert_array_equal(again.get_many(["hiç"]), [[-7, 0]])


def test_a_word_may_be_found_in_lower_case(store: Store) -> None:
    model = Model(store, 1, lowercase=True, unknown="zero")
    model.set_many(["ev", "at", "At"], [[1], [2], [3]])
    node = model.embed_many(["EV", "At", "AT", "YOK", "ev"])
    np.testing.assert_array_equal(node.value, [[1], [3], [2], [0], [1]])
    node.acc_grad(np.array([[1], [2], [4], [8], [16]]))
    assert grads_of(model) == {b"ev": [17], b"At": [2], b"at": [4]}


WORDS = st.sampled_from(["ev", "EV", "at", "yok", "Yok", "su", b"ev", 7])


@settings(max_examples=150, deadline=None)
@given(
    words=st.lists(WORDS, max_size=12),
    unknown=st.sampled_from(["zero", "train"]),
    lowercase=st.booleans(),
    cache_bytes=st.sampled_from([0, 500, 1 << 20]),
)
def test_many_are_as_one_by_one(words: list[Any], unknown: Any, lowercase: bool, cache_bytes: int) -> None:
    many, single = (
        Model(MemoryRepository().store(""), 2, unknown=unknown, lowercase=lowercase, cache_bytes=cache_bytes)
        for _ in range(2)
    )
    for model in (many, single):
        model.set_many(["ev", "at", "su", 7], np.arange(8).reshape(4, 2))
    grads = np.arange(2 * len(words)).reshape(len(words), 2) + 1
    node = many.embed_many(words)
    nodes = [single.embed(word) for word in words]
    for row, one, grad in zip(node.value, nodes, grads, strict=True):
        assert one is not None
        np.testing.assert_array_equal(row, one.value)
        one.acc_grad(grad)
    node.acc_grad(grads)
    assert grads_of(many) == grads_of(single)


# Gradients


def test_the_gradient_reaches_each_word_once(model: Model) -> None:
    node = model.embed_many(["ev", "su", "ev"])
    ag.sum(node * np.array([[1, 1], [2, 2], [4, 4]], np.float32)).backward()
    rows = touched(model)
    assert rows.keys == [b"ev", b"su"]
    np.testing.assert_array_equal(rows.grad, [[5, 5], [2, 2]])
    np.testing.assert_array_equal(node.grad, [[5, 5], [2, 2], [5, 5]])


def test_one_word_is_one_node(model: Model) -> None:
    one, other = model.embed("ev"), model.embed("ev")
    assert one is other
    assert isinstance(one, Embedding)
    (one * np.array([3, 4], np.float32)).backward()
    model.embed_many(["ev", "at"]).acc_grad(np.ones((2, 2)))
    np.testing.assert_array_equal(one.grad, [4, 5])
    one.zero_grad()
    assert one.grad is None
    assert touched(model).keys == [b"at"]


def test_a_gradient_can_be_set(model: Model) -> None:
    node = model.embed("ev")
    assert isinstance(node, Embedding)
    node.grad = [1, 2]
    node.grad = [3, 4]
    np.testing.assert_array_equal(node.grad, [3, 4])
    node.grad = None
    assert touched(model).grad is None
    with pytest.raises(ShapeError, match=r"ev: expected a gradient of shape \(2,\)"):
        node.acc_grad([1, 2, 3])


def test_a_gradient_that_was_read_stays_as_it_was(model: Model) -> None:
    node = model.embed_many(["ev"])
    node.acc_grad(np.ones((1, 2)))
    before = node.grad
    node.acc_grad(np.ones((1, 2)))
    np.testing.assert_array_equal(before, [[1, 1]])


def test_without_training_there_are_no_gradients(store: Store) -> None:
    Model(store, 2).set("ev", [1, 2])
    model = Model(store, trainable=False)
    node = model.embed("ev")
    assert node is not None
    for leaf in (node, model.embed_many(["ev"])):
        assert not leaf.requires_grad
        leaf.acc_grad(np.ones(leaf.shape))
        assert leaf.grad is None
    assert list(model.parameters()) == []


def test_a_read_only_store_is_not_trained(repository: Repository) -> None:
    Model(repository.store("words"), 2).set("ev", [1, 2])
    model = Model(repository.store("words", read_only=True))
    assert not model.trainable
    assert list(model.parameters()) == []


# Training


def test_a_step_writes_vectors_and_state(make_repository: MakeRepository, tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    model = Model(repository.store("words"), 1)
    model.set_many(["ev", "at"], [[1], [1]])
    for words in (["ev"], ["ev", "at"], ["ev"]):
        (model.embed_many(words) * 0.5).backward()
        adam(touched(model))
    state = model.payload("ev")
    assert state is not None
    assert state.label == "Adam"
    np.testing.assert_array_equal([state.arrays["m"], state.arrays["v"]], [[3], [1.5]])
    np.testing.assert_array_equal(model.get_many(["ev", "at"]), [[1 - 0.5 - 1 - 1.5], [0.5]])
    assert check(repository.store("words")).ok
    # Another model on the same store, without any cache, goes on from there.
    other = Model(repository.store("words"), cache_bytes=0)
    (other.embed_many(["at"]) * 0.5).backward()
    adam(touched(other))
    np.testing.assert_array_equal(other.get("at"), [-0.5])
    np.testing.assert_array_equal(model.get("at"), [-0.5])
    repository.close()


@pytest.mark.parametrize("cache_bytes", [0, 700, 1 << 20])
def test_momentum_goes_on_whatever_the_store(store: Store, cache_bytes: int) -> None:
    # Momentum 0.9, learning rate 0.1, gradient 1, from 1: 0.439 after three steps; 0.7 if the state were lost.
    model = Model(store, 1, cache_bytes=cache_bytes)
    model.set_many(["ev", "at", "su", "el"], np.ones((4, 1)))
    for word in ["ev", "at", "su", "el"] * 3:
        model.embed_many([word]).acc_grad([[1]])
        rows = touched(model)
        state = rows.payload or nn.Payload("SGD", {"v": np.zeros_like(rows.value)})
        state.arrays["v"] = 0.9 * state.arrays["v"] + 0.1 * rows.grad
        rows.payload = state
        rows.value -= state.arrays["v"]
        rows.commit()
        rows.zero_grad()
    np.testing.assert_allclose(model.get_many(["ev", "at", "su", "el"]), np.full((4, 1), 0.439), rtol=1e-6)


class CountingStore:
    """A store that counts reads and fails at a chosen write."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.read: list[bytes] = []
        self.fail_at = -1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def __len__(self) -> int:
        return len(self._store)

    def __contains__(self, key: object) -> bool:
        return key in self._store

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        self.read += keys
        return self._store.get_many(keys)

    def put_many(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        self.fail_at -= 1
        if self.fail_at == 0:
            raise StoreError("disk full")
        self._store.put_many(items)


def test_a_step_reads_each_row_once(store: Store) -> None:
    Model(store, 2).set_many(["ev", "at"], [[1, 2], [3, 4]])
    counting: Any = CountingStore(store)
    model = Model(counting)
    for _ in range(3):
        model.embed_many(["ev", "at", "ev"]).acc_grad(np.ones((3, 2)))
        model.embed_many(["ev"]).acc_grad(np.ones((1, 2)))
        adam(touched(model))
    assert counting.read == [b"ev", b"at"]


def test_a_failed_write_changes_nothing_and_can_be_repeated(store: Store) -> None:
    counting: Any = CountingStore(store)
    model = Model(counting, 2)
    model.set("ev", [1, 2])
    node = model.embed("ev")
    assert node is not None
    node.acc_grad([1, 1])
    rows = touched(model)
    rows.value -= rows.grad
    rows.payload = nn.Payload("Adam", {"m": np.ones((1, 2), np.float32)})
    counting.fail_at = 1
    with pytest.raises(StoreError, match="disk full"):
        rows.commit()
    np.testing.assert_array_equal(node.value, [1, 2])
    np.testing.assert_array_equal(Model(store).get("ev"), [1, 2])
    rows.commit()
    np.testing.assert_array_equal(node.value, [0, 1])
    np.testing.assert_array_equal(Model(store).get("ev"), [0, 1])
    counting.fail_at = 1
    with pytest.raises(StoreError, match="disk full"):
        model.set("ev", [7, 7])
    np.testing.assert_array_equal(model.get("ev"), [0, 1])


def test_rows_that_come_later_keep_what_was_changed(model: Model) -> None:
    model.embed_many(["ev"]).acc_grad(np.ones((1, 2)))
    adam(touched(model))
    model.embed_many(["ev"]).acc_grad(np.ones((1, 2)))
    rows = touched(model)
    rows.value[0] = 9
    assert rows.payload is not None
    model.embed_many(["at", "ev"]).acc_grad(np.ones((2, 2)))
    np.testing.assert_array_equal(rows.value, [[9, 9], [3, 4]])
    np.testing.assert_array_equal(rows.grad, [[2, 2], [1, 1]])
    np.testing.assert_array_equal(rows.payload.arrays["m"], [[1, 1], [0, 0]])
    rows.grad = np.zeros((2, 2), np.float32)
    rows.value = np.full((2, 2), 8, np.float32)
    rows.commit()
    np.testing.assert_array_equal(model.get_many(["ev", "at"]), np.full((2, 2), 8))
    with pytest.raises(
        ShapeError, match=r"embeddings: expected an array of shape \(2, 2\), one row a word, got \(1, 2\)"
    ):
        rows.grad = np.zeros((1, 2), np.float32)


def test_gradients_outlive_a_commit(model: Model) -> None:
    model.embed_many(["ev"]).acc_grad(np.ones((1, 2)))
    rows = touched(model)
    for _ in range(2):
        rows.value -= rows.grad
        rows.commit()
    np.testing.assert_array_equal(model.get("ev"), [-1, 0])
    model.zero_grad()
    assert rows.grad is None
    assert rows.shape == (0, 2)
    rows.commit()


def test_state_of_another_optimizer_counts_as_none(model: Model) -> None:
    model.embed_many(["ev", "at"]).acc_grad(np.ones((2, 2)))
    adam(touched(model))
    model.embed_many(["ev"]).acc_grad(np.ones((1, 2)))
    rows = touched(model)
    rows.payload = nn.Payload("SGD", {"v": np.ones((1, 2), np.float32)})
    rows.commit()
    model.embed_many(["at"]).acc_grad(np.ones((1, 2)))
    assert rows.payload is not None
    assert rows.payload.label == "SGD"
    np.testing.assert_array_equal(rows.payload.arrays["v"], [[1, 1], [0, 0]])


def test_state_can_be_cleared(model: Model) -> None:
    model.embed_many(["ev", "at"]).acc_grad(np.ones((2, 2)))
    adam(touched(model))
    before = model.get_many(["ev", "at", "su"])
    model.clear_state()
    assert model.payload("ev") is None
    model.embed_many(["ev"]).acc_grad(np.ones((1, 2)))
    assert touched(model).payload is None
    np.testing.assert_array_equal(model.get_many(["ev", "at", "su"]), before)
    assert check(model.store).ok


def test_clearing_state_reaches_rows_that_have_been_read(model: Model) -> None:
    model.embed_many(["ev"]).acc_grad(np.ones((1, 2)))
    adam(touched(model))
    model.embed_many(["ev"]).acc_grad(np.ones((1, 2)))
    assert touched(model).payload is not None
    model.clear_state()
    assert touched(model).payload is None
    adam(touched(model))
    payload = model.payload("ev")
    assert payload is not None
    np.testing.assert_array_equal(payload.arrays["m"], [1, 1])


def test_an_embedding_follows_every_update(model: Model) -> None:
    node = model.embed("ev")
    assert isinstance(node, Embedding)
    node.acc_grad([1, 1])
    adam(touched(model))
    np.testing.assert_array_equal(node.value, [0, 1])
    payload = node.payload
    assert payload is not None
    np.testing.assert_array_equal(payload.arrays["m"], [1, 1])
    model.set("ev", [7, 8])
    np.testing.assert_array_equal(node.value, [7, 8])
    payload = node.payload
    assert payload is None
    Model(model.store).set("ev", [9, 9])
    assert model.embed("ev") is node
    np.testing.assert_array_equal(node.value, [9, 9])


def test_a_removed_word_cannot_be_updated(model: Model) -> None:
    model.embed_many(["ev", "at"]).acc_grad(np.ones((2, 2)))
    model.store.delete(b"ev")
    with pytest.raises(StoreError, match=r"got 1 that were removed .* such as b'ev'; call zero_grad"):
        touched(model).commit()
    model.zero_grad()
    model.embed_many(["at"]).acc_grad(np.ones((1, 2)))
    assert model.delete("at")
    assert not model.delete("at")
    assert touched(model).grad is None


def test_a_new_vector_forgets_gradient_and_state(model: Model) -> None:
    model.embed_many(["ev", "at"]).acc_grad(np.ones((2, 2)))
    adam(touched(model))
    model.embed_many(["ev", "at", "su"]).acc_grad(np.ones((3, 2)))
    rows = touched(model)
    rows.value[2] = 5
    model.set("ev", [9, 9])
    assert rows.keys == [b"at", b"su"]
    np.testing.assert_array_equal(rows.value, [[2, 3], [5, 5]])
    assert rows.payload is not None
    np.testing.assert_array_equal(rows.payload.arrays["m"], [[1, 1], [0, 0]])
    assert model.payload("ev") is None


def test_arrays_of_the_caller_stay_the_callers(model: Model) -> None:
    mine = np.array([[1, 1]], np.float32)
    model.set_many(["ev"], mine)
    mine[...] = 5
    np.testing.assert_array_equal(model.get("ev"), [1, 1])
    model.get_many(["ev"])[...] = 6
    np.testing.assert_array_equal(model.get_many(["ev"]), [[1, 1]])
    grad = np.array([[1, 1]], np.float32)
    model.embed_many(["ev"]).acc_grad(grad)
    model.embed_many(["ev"]).acc_grad(grad)
    np.testing.assert_array_equal(grad, [[1, 1]])


def test_threads_give_the_same_result_as_one_after_the_other(store: Store) -> None:
    names = [f"w{i}" for i in range(50)]
    batches = [[names[(7 * t + i * (t + 1)) % 50] for i in range(40)] for t in range(8)]
    results = []
    for threaded in (False, True):
        model = Model(store, 3, cache_bytes=4000)
        model.set_many(names, np.arange(150).reshape(50, 3))
        for _ in range(5):
            works = [threading.Thread(target=learn, args=(model, batch, i)) for i, batch in enumerate(batches)]
            for work in works:
                work.start() if threaded else work.run()
            for work in works if threaded else ():
                work.join()
            adam(touched(model))
        results.append(model.get_many(names))
    np.testing.assert_array_equal(results[0], results[1])


def learn(model: Model, words: list[str], factor: int) -> None:
    (model.embed_many(words) * float(factor)).backward()  # whole numbers: sums do not depend on their order
    for word in words[:5]:
        node = model.embed(word)
        assert node is not None
        (node * 2.0).backward()


# In a module


class Tagger(nn.Module):
    def __init__(self, words: Model) -> None:
        self.words = words
        self.bias = nn.Param([1.0, 1.0])

    def forward(self, sentence: Sequence[str]) -> ag.Node:
        return self.words.embed_many(sentence) + self.bias


def test_it_takes_part_in_a_module(model: Model) -> None:
    tagger = Tagger(model)
    tagger(["ev", "ev"]).backward()
    shapes = {name: parameter.value.shape for name, parameter in tagger.named_parameters()}
    assert shapes == {"words.rows": (1, 2), "bias": (2,)}
    assert list(tagger.state_dict()) == ["bias"]
    for parameter in tagger.parameters():
        parameter.value -= parameter.grad
        parameter.commit()
    np.testing.assert_array_equal(model.get("ev"), [-1, 0])
    tagger.zero_grad()
    assert all(parameter.grad is None for parameter in tagger.parameters())
    assert "Model(3 words in store 'words', size=2, float32)" in repr(tagger)


def test_a_pickle_holds_settings_and_no_store(model: Model) -> None:
    tagger: Tagger = pickle.loads(pickle.dumps(Tagger(model)))
    assert repr(tagger.words) == "Model(no store, size=2, float32)"
    assert list(tagger.words.parameters()) == []
    tagger.zero_grad()
    with pytest.raises(
        StoreError, match=r"expected a store, got a model from a pickle, without one; call attach\(store\)"
    ):
        tagger.words.embed("ev")
    wide = Model(MemoryRepository().store("wide"), 3).store
    with pytest.raises(ShapeError, match="expected size 3, that of store 'wide', got 2"):
        tagger.words.attach(wide)
    tagger.words.attach(model.store)
    np.testing.assert_array_equal(tagger.words.get("ev"), [1, 2])
    with pytest.raises(StoreError, match="expected a model without a store, got one that has one"):
        tagger.words.attach(model.store)


def test_a_deep_copy_shares_the_words(model: Model) -> None:
    assert copy.deepcopy(Tagger(model)).words is model


def test_a_pickled_node_is_its_value(model: Model) -> None:
    for node in (model.embed("ev"), model.embed_many(["ev", "at"])):
        assert node is not None
        restored = pickle.loads(pickle.dumps(node))
        assert type(restored) is ag.Variable
        np.testing.assert_array_equal(restored.value, node.value)


# Stores that do not fit


def test_size_and_dtype_are_those_of_the_store(repository: Repository) -> None:
    store = repository.store("words")
    Model(store, 2, dtype=np.float64).set("ev", [1, 2])
    assert store.attributes == {"format": 1, "size": 2, "dtype": "float64"}
    assert Model(store).get_many(["ev"]).dtype == np.float64
    with pytest.raises(ShapeError, match="embeddings: expected size 2, that of store 'words', got 3"):
        Model(store, 3)
    with pytest.raises(ValueError, match="embeddings: expected dtype float64, that of store 'words', got float32"):
        Model(store, dtype=np.float32)
    with pytest.raises(ValueError, match="embeddings: expected a size of at least 1 for new store 'new', got None"):
        Model(repository.store("new"))
    with pytest.raises(TypeError, match="embeddings: expected dtype float32 or float64, got int32"):
        Model(repository.store("new"), 2, dtype=np.int32)
    with pytest.raises(ValueError, match='Model: expected unknown to be None, "zero", "train" or a function'):
        Model(repository.store("new"), 2, unknown=cast("None", "mean"))
    assert repository.names() == ["words"]


def test_vectors_of_other_sizes_are_refused(model: Model) -> None:
    with pytest.raises(ShapeError, match=r"Model.set: expected a vector of shape \(2,\) for 'ev', got \(3,\)"):
        model.set("ev", [1, 2, 3])
    with pytest.raises(ShapeError, match=r"Model: expected vectors of shape \(2, 2\), one row a word, got \(1, 2\)"):
        model.set_many(["ev", "at"], [[1, 2]])
    np.testing.assert_array_equal(model.get("ev"), [1, 2])


def test_a_damaged_record_is_named_and_never_returned(model: Model) -> None:
    record = bytearray(model.store.get(b"ev") or b"")
    record[14] ^= 1
    model.store.put(b"ev", bytes(record))
    for read in (
        lambda: model.embed("ev"),
        lambda: model.embed_many(["at", "ev"]),
        lambda: model.get("ev"),
        lambda: model.payload("ev"),
    ):
        with pytest.raises(DamagedRecordError, match="store 'words': key b'ev': expected a record whose checksum"):
            read()
    report = check(model.store)
    assert (report.ok, report.damaged, report.found) == (False, [b"ev"], 3)


def test_a_record_of_another_size_is_refused(repository: Repository) -> None:
    model = Model(repository.store("words"), 2)
    wide = Model(repository.store("wide"), 3)
    wide.set("ev", [1, 2, 3])
    model.store.put(b"ev", wide.store.get(b"ev") or b"")
    with pytest.raises(FormatError, match="key b'ev': expected 2 numbers of float32, got 3 of float32"):
        model.get("ev")


def test_a_missing_vector_for_unknown_words_is_said_at_once(repository: Repository) -> None:
    Model(repository.store("words"), 2)
    with pytest.raises(StoreError, match=r"expected the vector of '<unk>' in read-only store 'words', found none"):
        Model(repository.store("words", read_only=True), unknown="train")


# Memory


def test_memory_stays_flat_while_words_change(tmp_path: Path) -> None:
    with LevelDBRepository(tmp_path / "words") as repository:
        model = Model(repository.store("words"), 4, cache_bytes=20_000)
        model.set_many([f"w{i}" for i in range(2000)], np.zeros((2000, 4)))
        gc.collect()
        gc.disable()
        try:
            for start in range(0, 2000, 50):
                (model.embed_many([f"w{i}" for i in range(start, start + 50)]) * 2.0).backward()
                adam(touched(model))
                assert isinstance(model.embed_many(["w0"]), EmbeddedWords)
            cached = len(model._open()._cache)
            unreachable = gc.collect()
        finally:
            gc.enable()
    assert cached <= 20_000 // 200
    assert unreachable < 50
