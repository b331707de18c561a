"""The class names of training, validation, test, checkpoint and class vectors, compared."""

import logging

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import find_latest_checkpoint
from mmpretrain.registry import HOOKS

from mmlt.checkpoint import CheckpointError
from mmlt.datasets.image_check import dropped_images
from mmlt.datasets.wrapper import innermost
from mmlt.engine.bare_model import bare_model
from mmlt.models.class_vectors import plain_name
from mmlt.models.class_vectors_init import START, drop_class_vectors


@HOOKS.register_module()
class ClassNamesCheckHook(Hook):
    """Stop where two lists of class names differ: wrong names give no error, only wrong numbers.

    A dataset that takes labels from the ranks of its folders gives all labels anew when one folder
    is missing or renamed. Names travel with the checkpoint (``meta.dataset_meta``). Compared are
    training and validation set, checkpoint and training set (``load_from`` and resume), checkpoint
    and test set; and the number of names with ``num_classes`` of any head. What tells no names is
    not compared. The class vectors that a head begins from (``init_cfg=dict(type='ClassVectors')``)
    must be of the training set's classes, in its order; a resumed run does not read them. So must
    a ``FrozenTeacher``.

    A test set that really has fewer classes keeps the labels of the whole list:
    ``dict(type='PhotoFolder', ..., allow_missing=True)``.

    Args:
        checkpoint (bool): Whether a training's checkpoint, and that of a teacher, must be of the
            same classes. False for weights of another task. Defaults to True.

    Raises:
        ValueError: Two lists differ, with their first difference.
        CheckpointError: The same, of a checkpoint.

    Example:
        ``default_hooks = dict(class_names_check=dict(type='ClassNamesCheckHook'))``
    """

    def __init__(self, checkpoint: bool = True):
        self.checkpoint = checkpoint
        self._loaded = None

    def before_run(self, runner) -> None:
        """Leave the classifier of a resumed run to its checkpoint: the file may be gone."""
        if runner._resume and (runner._load_from or find_latest_checkpoint(runner.work_dir)):
            for file in drop_class_vectors(bare_model(runner)):
                print_log(f'class vectors {file} are not read: the run is resumed', 'current')

    def before_train(self, runner) -> None:
        """Compare training set, head and validation set; tell images that are not read."""
        train = runner.train_dataloader.dataset
        dropped = dropped_images(innermost(train))
        if dropped:
            print_log(
                f'{len(dropped)} images are not read for their suffix, first {dropped[0]}: convert '
                "them, or use type='PhotoFolder'",
                'current',
                logging.WARNING,
            )
        names = names_of(train)
        hidden = [name for name in names or () if name.startswith('.')]
        if hidden:
            raise ValueError(f'the training set takes the hidden folder {hidden[0]!r} for a class')
        head = getattr(bare_model(runner), 'head', None)
        number = getattr(head, 'num_classes', None)
        if names and number and number != len(names):
            raise ValueError(
                f'num_classes of {type(head).__name__} is {number}, the training set has '
                f'{len(names)} classes: write num_classes={len(names)}'
            )
        compare_class_vectors(bare_model(runner), names)
        companions = getattr(bare_model(runner), 'companions', {}).values()
        for companion in companions if self.checkpoint else ():
            compare_teacher(companion, names)
        if runner.val_loop is not None:
            self.compare_datasets(train, runner.val_loop.dataloader.dataset, 'validation')
        if self._loaded and self.checkpoint:
            self._compare_loaded(train)
        self._loaded = None  # what is tested from now on was trained here

    def before_val(self, runner) -> None:
        """Compare checkpoint and validation set, where nothing was trained."""
        self._compare_loaded(runner.val_loop.dataloader.dataset)

    def before_test(self, runner) -> None:
        """Compare checkpoint, or training set, and test set."""
        tested = runner.test_loop.dataloader.dataset
        if not self._loaded and not isinstance(runner._train_dataloader, dict | None):
            self.compare_datasets(runner.train_dataloader.dataset, tested, 'test')
        self._compare_loaded(tested)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Note the names of the checkpoint; the datasets are built later."""
        meta = checkpoint.get('meta')
        meta = dict(dataset_meta=meta.get('dataset_meta')) if isinstance(meta, dict) else {}
        self._loaded = dict(meta=meta), f'checkpoint {runner._load_from or "of the work dir"}'

    def _compare_loaded(self, dataset) -> None:
        if self._loaded:
            self.compare_checkpoint(self._loaded[0], dataset, self._loaded[1])

    @staticmethod
    def compare_datasets(train, other, what: str) -> None:
        """Compare the names of two datasets.

        Raises:
            ValueError: They differ.
        """
        difference = first_difference(
            'training set', names_of(train), f'{what} set', names_of(other)
        )
        if difference:
            raise ValueError(f'{difference}; {_CURE}')

    @staticmethod
    def compare_checkpoint(checkpoint: dict, dataset, name: str) -> None:
        """Compare the names in a checkpoint with a dataset's.

        Raises:
            CheckpointError: They differ.
        """
        names = _classes_in((checkpoint.get('meta') or {}).get('dataset_meta'))
        difference = first_difference(name, names, 'dataset', names_of(dataset))
        if difference:
            raise CheckpointError(f'{difference}; {_CURE}')


_CURE = (
    'labels would be paired with wrong names. Mend the folders; a set that really has fewer '
    "classes is dict(type='PhotoFolder', ..., allow_missing=True)"
)


def _classes_in(dataset_meta) -> tuple[str, ...] | None:
    """The class names that a checkpoint tells."""
    names = dataset_meta.get('classes') if isinstance(dataset_meta, dict) else None
    return tuple(map(str, names)) if isinstance(names, list | tuple) else None


def compare_teacher(companion, names) -> None:
    """Compare the names in the checkpoint of a ``FrozenTeacher`` with the training set's.

    Raises:
        CheckpointError: They differ by more than case, underscores and spaces.
    """
    own = _classes_in(getattr(companion, 'dataset_meta', None))
    file = f'teacher {getattr(companion, "checkpoint", None)}'
    if difference := first_difference(file, own, 'training set', names, key=plain_name):
        raise CheckpointError(
            f'{difference}: it would teach other classes than those of the images'
        )


def compare_class_vectors(model, names) -> None:
    """Compare the names of the class vectors that a head began from with the training set's.

    Raises:
        ValueError: They differ by more than case, underscores and spaces.
    """
    starts = {getattr(module, START) for module in model.modules() if hasattr(module, START)}
    for file, own in sorted(starts, key=str):
        difference = first_difference(
            f'class vectors {file}', own, 'training set', names, key=plain_name
        )
        if difference:
            raise ValueError(
                f'{difference}; the rows of the head would be those of other classes: make the '
                "file anew with the training set's names in its order (tools/class_vectors.py)"
            )
        told = 'their names are those of the training set'
        if not own or not names:
            who = 'the training set' if own else 'the file'
            told = f'their order was not checked: {who} tells no class names'
        print_log(f'class vectors {file}: {told}', 'current')


def names_of(dataset) -> tuple[str, ...] | None:
    """The class names that a dataset, or one in its wrappers, tells; else None."""
    while dataset is not None:
        if hasattr(dataset, 'full_init'):
            dataset.full_init()  # folders are read only then
        classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
        if isinstance(classes, list | tuple) and classes:
            return tuple(map(str, classes))
        dataset = getattr(dataset, 'dataset', None)
    return None


def first_difference(first: str, names, second: str, others, key=str) -> str:
    """One line about the first difference of two lists of names; '' if there is none.

    Names count as equal if ``key`` makes the same of them.

    Example:
        >>> first_difference('train', ('ant', 'bee'), 'test', ('ant', 'cat'))
        "class 1 is 'bee' in the train (2 classes), but 'cat' in the test (2 classes)"
    """
    if not names or not others or list(map(key, names)) == list(map(key, others)):
        return ''
    pairs = enumerate(zip(names, others))
    k = next((k for k, (a, b) in pairs if key(a) != key(b)), min(len(names), len(others)))

    def told(which: str, own) -> str:
        what = repr(own[k]) if k < len(own) else 'no class'
        return f'{what} in the {which} ({len(own)} classes)'

    return f'class {k} is {told(first, names)}, but {told(second, others)}'
