"""The start of a classifier: rows that were made before, of text or of class means."""

import torch
import torch.nn as nn
from mmengine.logging import print_log
from mmengine.model import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS  # BaseModule.init_weights asks this one

from mmlt.models.class_vectors import ClassVectors, load_class_vectors

# Where ClassNamesCheckHook finds what a module began from: (file, names).
START = 'class_vectors_start'


@WEIGHT_INITIALIZERS.register_module(name='ClassVectors')
class ClassVectorsInit:
    r"""Begin a head's classifier with the class vectors of a file: :math:`w_k = v_k, b_k = 0`.

    The file is one of ``tools/class_vectors.py``. It is read when a training begins, before
    ``load_from``; a test does not need it, nor, with :class:`ClassNamesCheckHook`, a resumed run.
    That hook also compares the names in the file with the training set's.

    Args:
        file (str): class vectors (K, D), as :func:`save_class_vectors` writes them.

    Shape:
        any ``classifier`` (or ``fc``, of mmpretrain's ``LinearClsHead``) with a weight (K, D), and
        those of all experts.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another file, another K or D than the head's.
        TypeError: a module without a linear classifier.

    Example:
        >>> import tempfile
        >>> from mmpretrain.registry import MODELS
        >>> from mmlt.models.class_vectors import save_class_vectors
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_class_vectors(f'{folder}/a.pth', torch.eye(3, 4), None, {})
        ...     start = dict(type='ClassVectors', file=f'{folder}/a.pth')
        ...     head = MODELS.build(dict(type='DBMHead', num_classes=3, in_channels=4,
        ...                              class_counts=[9, 3, 1], init_cfg=start))
        ...     head.init_weights()
        >>> head.classifier.weight.detach().equal(torch.eye(3, 4))
        True
    """

    def __init__(self, file: str):
        self.file = file

    def __call__(self, module: nn.Module) -> None:
        """Write the rows into every classifier of a head."""
        found = load_class_vectors(self.file)
        for classifier in _classifiers(module):
            self._check(classifier, found, module)
            with torch.no_grad():
                classifier.weight.copy_(found.vectors)
                if getattr(classifier, 'bias', None) is not None:
                    classifier.bias.zero_()
        setattr(module, START, (str(self.file), found.names))
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=f'ClassVectors: rows of {self.file}')
        number, width = found.vectors.shape
        told = {key: str(value) for key, value in found.meta.items()}
        made = ', '.join(f'{key} {value}' for key, value in told.items() if len(value) < 80)
        print_log(
            f'{type(module).__name__} begins with {number} class vectors of width {width} of '
            f'{self.file} ({made})',
            'current',
        )

    def _check(self, classifier: nn.Module, found: ClassVectors, module: nn.Module) -> None:
        (number, width), wanted = found.vectors.shape, tuple(classifier.weight.shape)
        name = type(module).__name__
        if len(wanted) != 2 or number != wanted[0]:
            raise ValueError(f'{self.file} has {number} classes, {name} has {wanted[0]}')
        if width != wanted[1]:
            cure = 'they are of another backbone'
            if found.meta.get('projected') is False:
                cure = 'they are text features: make them without --no-projection'
            raise ValueError(
                f'the class vectors of {self.file} are {width} wide, the classifier of {name} '
                f'{wanted[1]}: {cure}'
            )


def drop_class_vectors(model: nn.Module) -> list[str]:
    """Take ``ClassVectors`` out of every ``init_cfg``, for weights that stand in a checkpoint.

    Returns:
        list[str]: the files that are not needed any more.

    Example:
        >>> from mmengine.model import BaseModule
        >>> head = BaseModule(init_cfg=[dict(type='ClassVectors', file='a.pth')])
        >>> drop_class_vectors(head), head.init_cfg
        (['a.pth'], [])
    """
    dropped = []
    for module in model.modules():
        given = getattr(module, 'init_cfg', None)
        if not isinstance(given, dict | list | tuple) or not given:
            continue
        specs = [given] if isinstance(given, dict) else list(given)
        stay = [spec for spec in specs if not _is_ours(spec)]
        dropped += [str(spec['file']) for spec in specs if _is_ours(spec) and 'file' in spec]
        if len(stay) < len(specs):
            module.init_cfg = stay
    return dropped


def _is_ours(spec) -> bool:
    kind = spec.get('type') if isinstance(spec, dict) else None
    return kind is ClassVectorsInit or str(kind).rpartition('.')[2] == 'ClassVectors'


def _classifiers(module: nn.Module) -> list[nn.Module]:
    """The linear layers that give a head's logits: its own, or its experts'."""
    found = []
    for head in getattr(module, 'experts', None) or [module]:
        layer = next((getattr(head, n) for n in ('classifier', 'fc') if hasattr(head, n)), None)
        if not isinstance(getattr(layer, 'weight', None), torch.Tensor):
            raise TypeError(
                f"init_cfg=dict(type='ClassVectors') is for a head with a linear classifier, "
                f'{type(head).__name__} has none'
            )
        found.append(layer)
    return found
