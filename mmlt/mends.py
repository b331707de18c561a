"""Whether a function of another package has been mended already."""

import os


def is_ours(function) -> bool:
    """Whether a function, wherever it stands now, was written in this package.

    Not whether it wraps another: some other plugin's wrapper is no mend of ours.

    Example:
        >>> is_ours(is_ours), is_ours(os.path.join)
        (True, False)
    """
    code = getattr(function, '__code__', None)
    return code is not None and code.co_filename.startswith(os.path.dirname(__file__) + os.sep)
