"""Old import paths of what moved: they go on working, and are looked up where it is now.

A module that gave something away says ``__getattr__ = forward(__name__, {name: new module})``.
Nothing is imported before it is asked for: two of the new places need the mm stack.
"""

import importlib
from collections.abc import Callable, Mapping


def forward(module: str, names: Mapping[str, str]) -> Callable[[str], object]:
    """The ``__getattr__`` of a module whose ``names`` live in other modules now."""

    def __getattr__(name: str) -> object:
        if name in names:
            return getattr(importlib.import_module(names[name]), name)
        raise AttributeError(f'module {module!r} has no attribute {name!r}')

    return __getattr__
