"""What the command lines of all tools share: options that are told apart, errors in one line."""

import argparse
import os
import signal
import sys
from collections.abc import Callable

from mmengine.config import DictAction


class Options(DictAction):
    """``--cfg-options key=value ...`` of mmengine; a part without ``=`` is named.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> _ = parser.add_argument('--cfg-options', nargs='+', action=Options)
        >>> parser.parse_args(['--cfg-options', 'model.head.scale=30']).cfg_options
        {'model.head.scale': 30}
    """

    def __call__(self, parser, namespace, values, option_string=None):
        """Refuse what is no pair, then read the values as mmengine does."""
        for word in values:
            if not word.partition('=')[0] or '=' not in word:
                raise argparse.ArgumentError(self, f'expected key=value, got {word!r}')
        super().__call__(parser, namespace, values, option_string)


def run(main: Callable[[], None]) -> None:
    """Call ``main``; a mistake of the user ends in one line, unless MMLT_TRACEBACK is set.

    Example:
        >>> run(lambda: print('done'))
        done
    """
    try:
        main()
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)  # as a shell expects of it
    except (ValueError, TypeError, KeyError, ImportError, OSError) as error:
        if os.environ.get('MMLT_TRACEBACK'):
            raise
        if isinstance(error, TypeError | KeyError):  # told by what was called, as a rule
            text = error.args[0] if len(error.args) == 1 else error
            sys.exit(f'error: {type(error).__name__}: {text} (MMLT_TRACEBACK=1 shows where)')
        sys.exit(f'error: {error}')


def refuse_existing(parser: argparse.ArgumentParser, path: str) -> None:
    """End with an error if ``--out`` is there: it may be what is read, or hours of work."""
    if os.path.exists(path):
        parser.error(f'--out {path} exists and is left as it is: name another, or move it away')
