"""Names of models in tables and pictures: the end of a path, as long as it takes."""

import os
from collections.abc import Sequence


def short_names(paths: Sequence[str]) -> list[str]:
    """As many last parts of the paths as tell them apart.

    Args:
        paths: Files or folders; they need not exist.

    Returns:
        list[str]: A name for each; all have equally many parts.

    Raises:
        ValueError: The same path twice, which no name can tell apart.

    Example:
        >>> short_names(['a/seed0/epoch_9.pth', 'a/seed1/epoch_9.pth'])
        ['seed0/epoch_9.pth', 'seed1/epoch_9.pth']
        >>> short_names(['a/x.pth', 'b/y.pth'])
        ['x.pth', 'y.pth']
    """
    parts = [os.path.abspath(path).split(os.sep) for path in paths]
    if len(set(map(tuple, parts))) < len(parts):
        raise ValueError(
            f'paths must be different files or folders, got {" ".join(map(str, paths))}'
        )
    for length in range(1, max(map(len, parts), default=0) + 1):
        names = ['/'.join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return []
