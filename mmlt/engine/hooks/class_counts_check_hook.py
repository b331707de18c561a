"""The class counts of the config against the training set."""

import logging

import numpy as np
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmpretrain.datasets import KFoldDataset
from mmpretrain.registry import HOOKS

from mmlt.datasets import MixPartnerDataset
from mmlt.datasets.labels import read_labels
from mmlt.engine.bare_model import bare_model


@HOOKS.register_module()
class ClassCountsCheckHook(Hook):
    """Stop before the first iteration if ``class_counts`` are not those of the training set.

    Compares the counts of the head, of every validation metric and of the other hooks with the
    labels of the training set, which no image is read for. In a test it warns of metrics whose
    counts are not the head's. Wrong counts give no error later, only wrong margins, weights and
    shot groups. Wrappers that show images more often (``RepeatDataset``,
    ``ClassBalancedDataset``) add none; a fold (``KFoldDataset``) may lack its part.

    Example:
        ``custom_hooks = [dict(type='ClassCountsCheckHook')]``
    """

    def before_train(self, runner) -> None:
        """Count the training labels and compare."""
        head = getattr(bare_model(runner), 'head', None)
        dataset = runner.train_dataloader.dataset
        # Wrappers that show images more often, or fewer of them, are no other images.
        while (inner := _shown_by(dataset)) is not None:
            dataset = inner
        labels = read_labels(dataset)
        num_classes = getattr(head, 'num_classes', None)
        if num_classes and labels.max() >= num_classes:
            raise ValueError(
                f'the training set has labels {labels.min()} to {labels.max()}, '
                f'the head has num_classes={num_classes}'
            )
        owners = [(f'the head ({type(head).__name__})', head)]
        owners += [(f'expert {m}', expert) for m, expert in enumerate(getattr(head, 'experts', ()))]
        owners += [(f'the hook {type(hook).__name__}', hook) for hook in runner.hooks]
        owners += _metrics(runner.val_loop)
        for owner, part in owners:
            if (class_counts := _counts_of(part)) is None:
                continue
            if isinstance(dataset, KFoldDataset) and _is_fold(class_counts, labels, dataset):
                continue
            _compare(owner, class_counts, labels)

    def before_test(self, runner) -> None:
        """Compare the metrics' counts with the head's: there may be no training set."""
        head = getattr(bare_model(runner), 'head', None)
        if (of_head := _counts_of(head)) is None:
            return
        for owner, metric in _metrics(runner.test_loop):
            if (counts := _counts_of(metric)) not in (None, of_head):
                print_log(
                    f'class_counts of {owner} ({len(counts)} classes, {sum(counts)} images) are '
                    f'not those of the head ({len(of_head)} classes, {sum(of_head)} images): its '
                    'groups of classes are those of another training set',
                    logger='current',
                    level=logging.WARNING,
                )


def _metrics(loop) -> list[tuple[str, BaseMetric]]:
    metrics = [] if loop is None else loop.evaluator.metrics
    return [(f'the metric {type(m).__name__} ({m.prefix})', m) for m in metrics]


def _counts_of(part) -> list[int] | None:
    counts = getattr(part, 'class_counts', None)
    return counts if counts is None else [int(count) for count in counts]


def _shown_by(dataset):
    """What a wrapper shows, if it only changes how often, or beside which others."""
    if isinstance(dataset, RepeatDataset | ClassBalancedDataset | MixPartnerDataset):
        return dataset.dataset
    return vars(dataset).get('_dataset')  # num_batch_per_epoch: mmengine's slice


def _is_fold(class_counts: list, labels: np.ndarray, dataset: KFoldDataset) -> bool:
    """Whether the labels are what a fold leaves of the counts; those of the whole set stay."""
    found = np.bincount(labels, minlength=len(class_counts))
    if len(found) > len(class_counts) or (found > class_counts).any():
        return False
    left = sum(class_counts) * (1 - 1 / dataset.num_splits)
    if abs(len(labels) - left) > 1:
        return False
    print_log(
        f'{len(labels)} of {sum(class_counts)} images are trained on in fold {dataset.fold}; '
        'class_counts stay those of all',
        logger='current',
    )
    return True


def _compare(owner: str, class_counts: list, labels: np.ndarray) -> None:
    found = np.bincount(labels, minlength=len(class_counts))
    if len(found) > len(class_counts):
        raise ValueError(
            f'class_counts of {owner} has {len(class_counts)} classes, the training set has labels '
            f'up to {len(found) - 1}'
        )
    wrong = np.flatnonzero(found != np.asarray(class_counts))
    if len(wrong):
        examples = ', '.join(
            f'class {k}: {class_counts[k]} in class_counts, {found[k]} in the training set'
            for k in wrong[:3]
        )
        raise ValueError(
            f'class_counts of {owner} do not match the training set in {len(wrong)} of '
            f'{len(class_counts)} classes ({examples}); count the training set with '
            'python -m mmlt count_classes'
        )
