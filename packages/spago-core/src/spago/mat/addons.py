"""Modules that are not always there, and the command that brings them.

spago is installed in parts. Code that can use a part, or a library, without depending on it, asks for it here, at the
moment it is needed:

    graphviz = require("spago.graphviz", install="spago-graphviz", purpose="Node.to_dot")
    plyvel = require("plyvel", "plyvel_next", install="spago-embeddings", purpose="spago.embeddings")
"""

import importlib
from types import ModuleType


def require(*modules: str, install: str, purpose: str) -> ModuleType:
    """Import and return the first of some modules that is installed.

    Args:
        modules: Full names of modules, any of which will do, the preferred one first.
        install: The distribution that `pip install` should be told.
        purpose: The function, class or package that needs the module; the message begins with it.

    Raises:
        ModuleNotFoundError: None of the modules is installed. This is an ImportError; the message names the command
            that installs one. An error from inside a module that is installed goes through unchanged.

    Examples:
        >>> require("json", install="json", purpose="this example").dumps([1, 2])
        '[1, 2]'
    """
    for module in modules:
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            # A module that is there but misses one of its own dependencies must not be reported as missing itself.
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
    wanted = " or ".join(modules)
    raise ModuleNotFoundError(
        f"{purpose}: expected the module {wanted}, which is not installed; run: pip install {install}", name=modules[0]
    )


def mimebundle(shown: object) -> dict[str, str]:
    """Return what a notebook shows of an object, by MIME type: its repr, and a picture if spago-graphviz is installed.

    Never raises on account of the picture: an error would hide what the reader looks for.

    Examples:
        >>> mimebundle([1, 2])
        {'text/plain': '[1, 2]'}
    """
    bundle = {"text/plain": repr(shown)}
    try:
        picture: dict[str, str] = importlib.import_module("spago.graphviz").mimebundle(shown)
    except Exception:  # also from inside of spago-graphviz: its faults are not those of what is shown
        return bundle
    return bundle | picture
