"""A second stage whose frozen BatchNorms keep on averaging."""

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from torch.nn.modules.batchnorm import _BatchNorm

from mmlt.engine.bare_model import bare_model


@HOOKS.register_module()
class BatchNormDriftHook(Hook):
    """Hold the BatchNorms of everything but the head in training mode, frozen or not.

    For runs that must be compared with a released second stage that does so: its features are
    normalised by the batch and its running statistics drift, although nothing of the backbone is
    trained. Beside :class:`ClassifierRetrainingHook`, which puts them into evaluation mode.

    Source:
        BCE3S, released second stage.

    Example:
        ``default_hooks = dict(batch_norm_drift=dict(type='BatchNormDriftHook'))``
    """

    # Behind ClassifierRetrainingHook, whose choice it undoes.
    priority = 'LOW'

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Put the BatchNorms back into training mode."""
        for name, part in bare_model(runner).named_children():
            if name == 'head':
                continue
            for module in part.modules():
                if isinstance(module, _BatchNorm):
                    module.train()
