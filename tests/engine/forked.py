"""Work in a process of its own that need not import anything, so that it can be killed."""

import os
import signal
import traceback

import torch


def fork(work, *args) -> int:
    """Do ``work(*args)`` in a child and end it; returns its id.

    The child never comes back into the frames of the test session: an error is status 1, and a
    Ctrl-C, which could unwind it before it stands in its ``try``, waits until then and kills as a
    signal does. It has one thread: OpenMP's of the parent are not there, and would be waited for.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        return child
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        torch.set_num_threads(1)
        work(*args)
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def status_of(child: int) -> int:
    """Wait for a child; its status as subprocess has it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
