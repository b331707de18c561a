"""Processes that end with the one that started them."""

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_registered = False


def end_with_parent(signum: int = signal.SIGKILL) -> None:
    """Ask the system for a signal when the parent process ends, however it ends (Linux only).

    Args:
        signum (int): signal that this process gets then.

    Example:
        >>> import subprocess, sys
        >>> subprocess.run([sys.executable, '-c', ''], preexec_fn=end_with_parent).returncode
        0
    """
    if sys.platform == 'linux':
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signum))


def end_forks_with_this() -> None:
    """From now on every forked child, such as a data worker, is killed when this process ends."""
    global _registered
    if not _registered and hasattr(os, 'register_at_fork'):
        _registered = True
        os.register_at_fork(after_in_child=end_with_parent)
