"""mmlt: long-tailed image recognition for the OpenMMLab stack.

Importing the package registers its heads, losses, necks, datasets, metrics and hooks in
mmpretrain's registries, so ``custom_imports = dict(imports=['mmlt'])`` is all a config needs.

Where nothing of the stack is installed, :mod:`mmlt.functional` works with torch alone, and whatever
needs the stack says what to install. A stack of another version, or a part of one, is refused.
"""

__version__ = '0.1.0'

# ruff: noqa: E402, I001
# The versions are checked, and what a current torch or numpy breaks upstream is mended, before
# any other module of the package imports mmengine or mmpretrain.
import importlib.util
import sys

from mmlt import compat

_NEED_THE_STACK = ('checkpoint', 'datasets', 'engine', 'evaluation', 'models')
__all__ = ['__version__', 'compat', 'functional', 'load_class_counts', *_NEED_THE_STACK]


def _stack_is_absent() -> bool:
    """Whether neither a module of the mm stack is found nor the record of an installation."""
    modules = map(importlib.util.find_spec, ('mmengine', 'mmcv', 'mmpretrain'))
    distributions = (name for _, _, names in compat.SUPPORTED.values() for name in names)
    return not any(modules) and not any(map(compat._version, distributions))


class _StackIsMissing:
    """Speaks up where Python would say no more than that there is no mmengine."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.startswith('mmlt.') and name.split('.')[1] in _NEED_THE_STACK:
            compat.check_mm_stack()
            raise ImportError(f'{name}: the mm stack came after mmlt was imported, start anew')


if _stack_is_absent():
    sys.meta_path.insert(0, _StackIsMissing)

    def __getattr__(name):
        if name in _NEED_THE_STACK:
            return importlib.import_module(f'mmlt.{name}')
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
else:
    compat.check_mm_stack()
    compat.apply()
    from mmlt import checkpoint

    checkpoint.install()
    from mmlt import datasets, engine, evaluation, models

from mmlt import functional
from mmlt.class_counts import load_class_counts
