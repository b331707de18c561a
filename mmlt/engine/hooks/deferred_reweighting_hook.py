"""Class weights for the joint criterion from some epoch on."""

from mmengine.logging import print_log
from mmpretrain.registry import HOOKS

from mmlt.engine.bare_model import bare_model
from mmlt.engine.hooks.epoch_switch_hook import EpochSwitchHook, averaged_models
from mmlt.models.losses import ClassBalancedLoss, PairCriterion


@HOOKS.register_module()
class DeferredReweightingHook(EpochSwitchHook):
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
            its weights, 'samples' by its size. With several processes the batch is the joined one.
            Defaults to 'weights'.

    Source:
        LDAM (Cao et al. 2019), deferred re-weighting: beta 0.9999 from epoch 160 of 200 on. The
        released code hands the weights to torch's ``cross_entropy``, whose mean is the one over
        weights; eqs. 3 and 10 of DBM as printed are the mean over samples. That code looks up beta
        in a list of two by ``epoch // 160``, which ends in an error at epoch 320.

    Example:
        ``default_hooks = dict(reweighting=dict(type='DeferredReweightingHook', begin_epoch=160))``
    """

    def __init__(self, begin_epoch, beta=0.9999, normalize=True, average='weights'):
        super().__init__(begin_epoch)
        self.kwargs = dict(beta=beta, normalize=normalize, average=average)
        ClassBalancedLoss([1], **self.kwargs)  # bad values are told now, not in epoch 160

    def check(self, runner) -> None:
        """Refuse a head without class counts, and a criterion that cannot be weighted."""
        head = getattr(bare_model(runner), 'head', None)
        name = type(head).__name__
        for attribute in ('class_counts', 'loss_module'):
            if getattr(head, attribute, None) is None:
                raise TypeError(
                    f'DeferredReweightingHook needs a head with {attribute}, {name} has none; '
                    'a TripartiteHead with class_counts has both'
                )
        criterion = head.loss_module
        if isinstance(criterion, ClassBalancedLoss):
            raise TypeError(
                f'the joint criterion of {name} is a ClassBalancedLoss from the start: '
                'DeferredReweightingHook would weigh it twice'
            )
        if not isinstance(criterion, PairCriterion):
            raise TypeError(
                'DeferredReweightingHook needs a PairCriterion, which takes weights, '
                f'got {type(criterion).__name__}'
            )
        self._weighted(head)  # what cannot be built is told now
        if criterion.state_dict():
            # Its names would change with the wrapping, and a resumed run would not find them.
            raise TypeError(
                f'{type(criterion).__name__} keeps {list(criterion.state_dict())} in the '
                'checkpoint: DeferredReweightingHook cannot wrap it'
            )

    def switch(self, runner, first: bool) -> None:
        """Wrap the criterion."""
        for model in (bare_model(runner), *averaged_models(runner)):
            weighted = self._weighted(model.head)
            model.head.loss_module = weighted.to(model.head.class_counts.device)
        print_log(f'Class weights from epoch {runner.epoch + 1} on', logger='current')

    def _weighted(self, head) -> ClassBalancedLoss:
        counts = head.class_counts.tolist()
        return ClassBalancedLoss(counts, criterion=head.loss_module, **self.kwargs)
