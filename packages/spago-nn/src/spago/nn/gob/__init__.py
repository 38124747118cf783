"""Model files of Go Spago v1.0.1: reading what its `nn.DumpToFile` writes, writing what its `nn.LoadFromFile` reads.

`load` gives plain data of any gob file and `save` writes them; `load_model` and `save_model` do so with the layers of
`spago.nn`. Classes of users take part by a small declaration of their Go struct: see `declare` and `model`.
"""

from spago.nn.gob._declarations import declare
from spago.nn.gob._files import dumps, load, load_all, loads, save
from spago.nn.gob._models import dumps_model, from_data, load_model, loads_model, model, save_model, to_data
from spago.nn.gob._types import Type, go_type
from spago.nn.gob._values import Buffer, Interface, Param, Payload, Struct

__all__ = [
    "Buffer",
    "Interface",
    "Param",
    "Payload",
    "Struct",
    "Type",
    "declare",
    "dumps",
    "dumps_model",
    "from_data",
    "go_type",
    "load",
    "load_all",
    "load_model",
    "loads",
    "loads_model",
    "model",
    "save",
    "save_model",
    "to_data",
]
