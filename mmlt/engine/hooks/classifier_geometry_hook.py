"""Separability of the class vectors, logged beside the validation's metrics."""

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from mmlt.class_counts import load_class_counts
from mmlt.engine.bare_model import bare_model
from mmlt.functional import classifier_separability, shot_groups


@HOOKS.register_module()
class ClassifierGeometryHook(Hook):
    """Log eq. 13 of ``head.classifier`` at every validation, in percent.

    ``geometry/classifier`` and ``geometry/classifier_std`` (mean and standard deviation over
    classes), ``geometry/classifier_many``, ``..._medium`` and ``..._few`` (mean over the group's
    classes; NaN for an empty group). 50 K / (K - 1) for all classes is the best there is.

    Args:
        class_counts: Training images per class, as :func:`mmlt.load_class_counts` takes them.
        many (int): As in :class:`ShotAccuracy`. Defaults to 100.
        few (int): As in :class:`ShotAccuracy`. Defaults to 20.

    Source:
        BCE3S, eq. 13, fig. 2.

    Example:
        ``custom_hooks = [dict(type='ClassifierGeometryHook', class_counts='cifar10-lt-if100')]``
    """

    # Before EMAHook puts the weights back that were not evaluated.
    priority = 'HIGH'

    def __init__(self, class_counts, many=100, few=20):
        self.class_counts = load_class_counts(class_counts)
        self.groups = shot_groups(self.class_counts, many, few)

    def after_val_epoch(self, runner, metrics=None) -> None:
        """Put the figures beside the metrics that are logged."""
        values = classifier_separability(bare_model(runner).head.classifier.weight.detach()).cpu()
        found = {'': values.mean(), '_std': values.std(correction=0)}
        found |= {f'_{name}': values[members].mean() for name, members in self.groups.items()}
        for name, value in found.items():
            runner.message_hub.update_scalar(f'val/geometry/classifier{name}', float(value))
