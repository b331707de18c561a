"""Class weights for the joint criterion from some epoch on."""

import inspect

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmpretrain.registry import HOOKS

from mmlt.engine.bare_model import bare_model
from mmlt.models.losses import ClassBalancedLoss


@HOOKS.register_module()
class DeferredReweightingHook(Hook):
    r"""From ``begin_epoch`` on, weigh the joint criterion by the effective number of samples (DRW).

    Before that epoch the run is the one without the hook. In it ``head.loss_module`` is wrapped
    into :class:`ClassBalancedLoss`, margins and other slots stay; what counts is the epoch alone,
    so a resumed run is weighted in the same epochs, and there is no last one. The weights are
    derived from ``head.class_counts`` and are in no checkpoint.

    Args:
        begin_epoch (int): First weighted epoch, from 0.
        beta (float): In [0, 1), of :class:`ClassBalancedLoss`. Defaults to 0.9999.
        normalize (bool): Scale the weights to mean 1 over the classes. Defaults to True.
        average (str): 'weights' divides the sum of the weighted losses of a batch by the sum of
            its weights, 'samples' by its size. With several processes the batch is that of a
            process, so that only 'samples' gives the loss of one process. Defaults to 'weights'.

    Source:
        LDAM (Cao et al. 2019), deferred re-weighting: beta 0.9999 from epoch 160 of 200 on. The
        released code hands the weights to torch's ``cross_entropy``, whose mean is the one over
        weights; eqs. 3 and 10 of DBM as printed are the mean over samples. That code looks up beta
        in a list of two by ``epoch // 160``, which ends in an error at epoch 320.

    Example:
        ``custom_hooks = [dict(type='DeferredReweightingHook', begin_epoch=160)]``
    """

    def __init__(self, begin_epoch, beta=0.9999, normalize=True, average='weights'):
        if begin_epoch < 0:
            raise ValueError(f'begin_epoch must be >= 0, got {begin_epoch}')
        self.begin_epoch = begin_epoch
        self.kwargs = dict(beta=beta, normalize=normalize, average=average)
        ClassBalancedLoss([1], **self.kwargs)  # bad values are told now, not in epoch 160
        self._wrapped = False

    def before_train(self, runner) -> None:
        """Check the head before the first iteration, not in epoch ``begin_epoch``."""
        head = getattr(bare_model(runner), 'head', None)
        name = type(head).__name__
        for attribute in ('class_counts', 'loss_module'):
            if getattr(head, attribute, None) is None:
                raise TypeError(
                    f'DeferredReweightingHook needs a head with {attribute}, {name} has none; '
                    'a TripartiteHead with class_counts has both'
                )
        if self._wrapped:
            return
        criterion = head.loss_module
        if isinstance(criterion, ClassBalancedLoss):
            raise TypeError(
                f'the joint criterion of {name} is a ClassBalancedLoss from the start: '
                'DeferredReweightingHook would weigh it twice'
            )
        if not {'weight', 'negative_mask'} <= set(inspect.signature(criterion.forward).parameters):
            raise TypeError(
                'DeferredReweightingHook needs a criterion whose forward takes weight and '
                f'negative_mask, {type(criterion).__name__} does not'
            )
        if criterion.state_dict():
            # Its names would change with the wrapping, and a resumed run would not find them.
            raise TypeError(
                f'{type(criterion).__name__} keeps {list(criterion.state_dict())} in the '
                'checkpoint: DeferredReweightingHook cannot wrap it'
            )

    def before_train_epoch(self, runner) -> None:
        """Wrap the criterion once, also when a run was resumed behind ``begin_epoch``."""
        if self._wrapped or runner.epoch < self.begin_epoch:
            return
        head = getattr(bare_model(runner), 'head', None)
        weighted = ClassBalancedLoss(
            head.class_counts.tolist(), criterion=head.loss_module, **self.kwargs
        )
        head.loss_module = weighted.to(head.class_counts.device)
        self._wrapped = True
        print_log(f'Class weights from epoch {runner.epoch + 1} on', logger='current')
