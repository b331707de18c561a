"""mmlt: long-tailed image recognition for the OpenMMLab stack.

Importing the package registers its heads, losses, necks, datasets, metrics and hooks in
mmpretrain's registries, so ``custom_imports = dict(imports=['mmlt'])`` is all a config needs.
"""

__version__ = '0.1.0'

# ruff: noqa: E402, I001
# The versions are checked, and what a current torch or numpy breaks upstream is mended, before
# any other module of the package imports mmengine or mmpretrain.
from mmlt import compat

compat.check_mm_stack()
compat.apply()

from mmlt import checkpoint

checkpoint.install()

from mmlt.class_counts import load_class_counts
from mmlt import datasets, engine, evaluation, functional, models

__all__ = [
    '__version__',
    'checkpoint',
    'compat',
    'datasets',
    'engine',
    'evaluation',
    'functional',
    'load_class_counts',
    'models',
]
