"""Methods of ours in the place of moto's."""

from __future__ import annotations


def graft(target: type, source: type) -> None:
    """Puts the methods and class attributes of `source` into `target`.

    moto's URL tables name its classes, so a subclass of ours would never be called.

    Args:
        target: A class of moto's.
        source: A class of ours that holds what `target` lacks or gets wrong.
    """
    for name, member in vars(source).items():
        if not name.startswith("__"):
            setattr(target, name, member)
