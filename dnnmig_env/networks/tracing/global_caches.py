"""What networks share: classes and Python modules, whose caches are kept free of tensors without memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def kept_free_of_meta(module: nn.Module) -> Iterator[None]:
    """Take back at the end what was put into shared caches meanwhile, if it is on the meta device.

    Looked at are the global variables of the Python modules in which the network's classes are defined, the attributes
    of these classes, and the elements of lists, dictionaries and sets among both.

    Args:
        module: The network.
    """
    places = [(place, dict(vars(place))) for place in shared_places(module)]
    containers = [value for _, names in places for value in names.values() if type(value) in (dict, list, set)]
    contents = [(container, container.copy()) for container in containers]
    try:
        yield
    finally:
        for container, before in contents:
            if any(map(_is_on_meta, container.values() if isinstance(container, dict) else container)):
                container.clear()
                container.extend(before) if isinstance(container, list) else container.update(before)
        for place, names in places:
            for name, value in list(vars(place).items()):
                if _is_on_meta(value) and name in names:
                    setattr(place, name, names[name])
                elif _is_on_meta(value):
                    delattr(place, name)


def shared_places(module: nn.Module) -> list[Any]:
    """Return the classes of a network that are not PyTorch's own, and the Python modules in which they are defined."""
    kinds = {kind for part in module.modules() for kind in type(part).__mro__ if kind.__module__ != "builtins"}
    own = [kind for kind in kinds if kind.__module__.partition(".")[0] != "torch"]
    names = {kind.__module__ for kind in own}
    return [*own, *(sys.modules[name] for name in names if name in sys.modules)]


def _is_on_meta(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_is_on_meta, value))
    return isinstance(value, Tensor) and value.is_meta
