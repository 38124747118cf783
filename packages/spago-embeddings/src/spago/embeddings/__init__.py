"""Word embeddings that live in a store, on disk or in memory, and are trained there.

A repository holds named stores, a store holds records, and a model reads and trains the vectors of words in a store.
Only what a batch needs is in memory.

Examples:
    >>> import tempfile
    >>> from spago import embeddings
    >>> with embeddings.LevelDBRepository(tempfile.mkdtemp()) as repository:
    ...     model = embeddings.Model(repository.store("words"), size=2)
    ...     model.set("ev", [1, 2])
    ...     (model.embed_many(["ev", "ev"]) * 3.0).backward()
    ...     for rows in model.parameters():  # an optimizer does this
    ...         rows.value -= 0.5 * rows.grad
    ...         rows.commit()
    ...     model.get("ev")
    array([-2., -1.], dtype=float32)
"""

from spago.embeddings._check import CheckReport, check
from spago.embeddings._export import ExportReport, export_vectors
from spago.embeddings._import import ImportReport, import_vectors
from spago.embeddings._keys import Word
from spago.embeddings._leveldb_store import LevelDBRepository, LevelDBStore
from spago.embeddings._memory import MemoryRepository, MemoryStore
from spago.embeddings._model import Model, Unknown
from spago.embeddings._nodes import EmbeddedWords, Embedding
from spago.embeddings._queries import AnalogyScore, Neighbour, UnknownWordError
from spago.embeddings._repair import RepairReport, repair
from spago.embeddings._rows import TouchedRows
from spago.embeddings._sqlite import SQLiteRepository, SQLiteStore
from spago.embeddings._store import (
    Attributes,
    DamagedRecordError,
    DamagedStoreError,
    Repository,
    Store,
    StoreError,
    StoreLockedError,
)
from spago.embeddings._subwords import Subwords, ngram_buckets
from spago.embeddings._text import Fault

__all__ = [
    "AnalogyScore",
    "Attributes",
    "CheckReport",
    "DamagedRecordError",
    "DamagedStoreError",
    "EmbeddedWords",
    "Embedding",
    "ExportReport",
    "Fault",
    "ImportReport",
    "LevelDBRepository",
    "LevelDBStore",
    "MemoryRepository",
    "MemoryStore",
    "Model",
    "Neighbour",
    "RepairReport",
    "Repository",
    "SQLiteRepository",
    "SQLiteStore",
    "Store",
    "StoreError",
    "StoreLockedError",
    "Subwords",
    "TouchedRows",
    "Unknown",
    "UnknownWordError",
    "Word",
    "check",
    "export_vectors",
    "import_vectors",
    "ngram_buckets",
    "repair",
]
