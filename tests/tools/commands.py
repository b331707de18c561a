"""Commands of the tools, each in a process of its own, most without the imports of a new one.

A fresh Python spends seconds on importing torch and mmpretrain. So a server imports them once, and
forks for each command; the child runs the script as ``python SCRIPT WORDS`` would: as ``__main__``,
with arguments, environment, folder, output and random state of its own. The server does not import
mmlt: when and in which order that happens is left to the script. Shell scripts, and what is to be
killed, are started anew, and so is whatever a tool itself starts.
"""

import atexit
import functools
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT = 300  # seconds


def command(*words, cwd=ROOT) -> subprocess.CompletedProcess:
    """Run a command, in the repository's root as a rule; what it printed is text."""
    words = [str(word) for word in words]
    if words[0] == sys.executable and words[1].endswith('.py'):
        return _forked(words, str(cwd))
    return subprocess.run(
        words, cwd=cwd, env=environment(), text=True, capture_output=True, timeout=TIMEOUT
    )


def environment() -> dict:
    """The environment of a command: one thread, this package, and a port that nobody has."""
    # dist_train.sh says "python": let it be this one.
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    threads = dict.fromkeys(('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'), '1')
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])  # of dist_train.sh and dist_test.sh
    return dict(os.environ, PATH=path, PYTHONPATH=str(ROOT), PORT=port, **threads)


def _forked(words: list[str], cwd: str) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as folder:
        printed = [os.path.join(folder, name) for name in ('out', 'err')]
        server = _server()
        request = dict(argv=words[1:], env=environment(), printed=printed, cwd=cwd)
        server.stdin.write(json.dumps(request) + '\n')
        server.stdin.flush()
        code = json.loads(server.stdout.readline())
        if code is None:
            raise subprocess.TimeoutExpired(words, TIMEOUT)
        stdout, stderr = (Path(path).read_text(encoding='utf-8') for path in printed)
    return subprocess.CompletedProcess(words, code, stdout, stderr)


@functools.cache
def _server() -> subprocess.Popen:
    # It ends when its input does, so with this process, however that ends.
    server = subprocess.Popen(
        [sys.executable, __file__], cwd=ROOT, env=environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    atexit.register(server.communicate)
    return server


def _serve() -> None:
    """Import what takes long, then fork for each request: a line of JSON, answered by one."""
    import sklearn.manifold  # noqa: F401

    requests, answers = sys.stdin, os.fdopen(os.dup(1), 'w')
    for line in iter(requests.readline, ''):
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(**request)
        answers.write(json.dumps(_wait(child)) + '\n')
        answers.flush()


def _wait(child: int) -> int | None:
    """The status as subprocess has it, None if the time was over."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, 9)
    os.waitpid(child, 0)
    return None


def _become(argv: list[str], env: dict, printed: list[str], cwd: str) -> None:
    """Turn this fork into ``python ARGV``; does not return."""
    import random

    import numpy as np
    import torch

    os.setsid()
    os.environ.clear()
    os.environ.update(env)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(printed, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(cwd)
    sys.argv = argv
    sys.path[0] = str(Path(argv[0]).absolute().parent)
    # A new process has a random state of its own.
    random.seed()
    np.random.seed()
    torch.seed()
    code = 0
    try:
        runpy.run_path(argv[0], run_name='__main__')
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == '__main__':
    _serve()
