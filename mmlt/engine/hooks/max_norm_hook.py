"""Class vectors in a ball: none longer than a threshold."""

import torch
from mmengine.logging import print_log
from mmpretrain.registry import HOOKS

from mmlt.engine.bare_model import bare_model
from mmlt.engine.hooks.epoch_switch_hook import EpochSwitchHook, refuse_average
from mmlt.models.slots.batch import rows_of

_INFO = 'max_norm_threshold'


@HOOKS.register_module()
class MaxNormHook(EpochSwitchHook):
    r"""Project the rows of ``head.classifier`` after each epoch or step (MaxNorm).

    .. math::
        w_k \leftarrow w_k \min(1, \delta / \|w_k\|), \quad
        \delta = \min_j \|w_j\| + r \, (\max_j \|w_j\| - \min_j \|w_j\|)

    The threshold is taken once, from the rows as they are when ``begin_epoch`` starts; checkpoints
    carry it, so a resumed run goes on with the same one.

    A classifier that normalises its rows (``NormedLinear``, ``CosineLinear``) gives the same logits
    after a projection, but learns at another pace: a gradient step of rate lr turns a row of length
    l by an angle that goes as lr / l^2, so that the shorter rows, which the projection makes of
    long ones, learn faster.

    Args:
        ratio (float): r in [0, 1] of the rule. Defaults to 0.1.
        threshold (float, optional): delta > 0 itself, in place of the rule.
        by_epoch (bool): Project after each epoch; False: after each step. Defaults to True.
        begin_epoch (int): First epoch (from 0) in which rows are projected. Defaults to 0.

    Source:
        Alshammari et al. 2022 (MaxNorm), as BCE3S uses it in its second stage: r = 0.1, after each
        epoch. Only the class vectors here, not the bias.

    Example:
        ``default_hooks = dict(max_norm=dict(type='MaxNormHook'))``
    """

    # Before CheckpointHook, which saves the weights after the epoch.
    priority = 'ABOVE_NORMAL'

    def __init__(self, ratio=0.1, threshold=None, by_epoch=True, begin_epoch=0):
        super().__init__(begin_epoch)
        if not 0 <= ratio <= 1:
            raise ValueError(f'ratio must be in [0, 1], got {ratio}')
        if threshold is not None and not threshold > 0:
            raise ValueError(f'threshold must be > 0, got {threshold}')
        self.ratio = ratio
        self.threshold = threshold
        self.by_epoch = by_epoch
        self._known = None

    def check(self, runner) -> None:
        """Refuse a classifier without rows, and an average of weights."""
        rows_of(bare_model(runner).head.classifier, 'MaxNormHook')
        refuse_average(runner, 'MaxNormHook')

    def switch(self, runner, first: bool) -> None:
        """Take the threshold in the coming iteration, or over from the checkpoint."""
        self._known = runner.message_hub.get_info(_INFO)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Take the threshold, once, behind whatever other hooks do to the rows at the start."""
        if not self.switched or self._known is not None:
            return
        norms = bare_model(runner).head.classifier.weight.detach().norm(dim=1)
        low, high = norms.min().item(), norms.max().item()
        self._known = self.threshold or low + self.ratio * (high - low)
        runner.message_hub.update_info(_INFO, self._known)
        print_log(
            f'MaxNormHook: rows of length {low:.4g} to {high:.4g}, none above {self._known:.4g} '
            f'from epoch {runner.epoch + 1} on',
            logger='current',
        )

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Project, if it is done by steps."""
        if not self.by_epoch:
            self._project(runner)

    def after_train_epoch(self, runner) -> None:
        """Project, if it is done by epochs; before the checkpoint and the validation."""
        if self.by_epoch:
            self._project(runner)

    @torch.no_grad()
    def _project(self, runner) -> None:
        if not self.switched:
            return
        weight = bare_model(runner).head.classifier.weight
        norms = weight.norm(dim=1, keepdim=True)
        weight.mul_(self._known / norms.clamp(min=self._known))
