"""The second stage of a two-stage recipe: inside one run, or a run of its own."""

from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmpretrain.registry import HOOKS
from torch import nn

from mmlt.config_file import type_name
from mmlt.engine.bare_model import bare_model
from mmlt.engine.hooks.deferred_reweighting_hook import DeferredReweightingHook
from mmlt.engine.hooks.epoch_switch_hook import (
    EpochSwitchHook,
    averaged_models,
    refuse_average,
)
from mmlt.models.build import build_part, merge_spec, pretrained_file
from mmlt.models.data_preprocessors.multi_view import VIEWS
from mmlt.models.heads import TripartiteHead
from mmlt.models.heads.parts import part_spec, trained_tau
from mmlt.models.losses import BalancedSoftmaxLoss


@HOOKS.register_module()
class ClassifierRetrainingHook(EpochSwitchHook):
    r"""From ``begin_epoch`` on, train the classifier alone, with a re-balanced joint criterion.

    Everything but ``head.classifier`` is frozen: no gradient, no weight decay, BatchNorm in
    evaluation mode so that its statistics stay bit for bit what they were. All slots but the joint
    one rest. The optimizer's momentum is forgotten at the switch. The learning rate is
    the business of ``param_scheduler``. A resumed run switches in the same epoch.

    With ``begin_epoch=0`` the run is the second stage of another run, whose checkpoint
    ``load_from`` names. Other methods by the same switch: cRT (``reset=True``,
    ``joint='softmax'``, ``ClassBalancedSampler``) and LWS (``trained='classifier.scale'`` with
    ``ScaledLinear``, the same criterion and sampler).

    Args:
        begin_epoch (int): First epoch (from 0) of the second stage.
        joint (str | dict, optional): Criterion of the second stage. Defaults to
            ``dict(type='ClassBalancedLoss')``, which weighs the criterion of the first stage unless
            it names one (eqs. 26 and 35).
        trained (str): The part of the head that is trained. Defaults to 'classifier'.
        reset (bool): Whether the classifier begins from new random numbers. Defaults to False.
        views (Sequence[str]): Mixed views of ``MultiViewDataPreprocessor`` from then on; those of
            a pipeline stay. Defaults to ``('plain', )``.
        weight_decay (float, optional): Weight decay from then on. Defaults to 0.0; None keeps it.

    Raises:
        ValueError, TypeError: Before the first iteration: another head, an unknown part, a
            criterion that cannot be built, or that leaves another part of the class prior in the
            logits than the head's adjustment takes out; fewer ``views`` than the head or the
            companions want; a frozen backbone that nothing has trained, another hook that changes
            the criterion, an average of weights that ``reset`` would not reach.

    Source:
        BCE3S, appendix E. The released second stage leaves BatchNorm in training mode, so the
        frozen features drift; here they do not. cRT and LWS: Kang et al. 2020, section 4.

    Example:
        ``default_hooks = dict(retraining=dict(type='ClassifierRetrainingHook', begin_epoch=200))``
    """

    def __init__(
        self,
        begin_epoch,
        joint=None,
        trained='classifier',
        reset=False,
        views=('plain',),
        weight_decay=0.0,
    ):
        super().__init__(begin_epoch)
        self.joint = joint
        self.trained = trained
        self.reset = reset
        self.views = (views,) if isinstance(views, str) else tuple(views)
        self.weight_decay = weight_decay
        self._frozen = []

    def check(self, runner) -> None:
        """Refuse what could not work later, and to freeze a backbone that nothing has trained."""
        model = bare_model(runner)
        if not isinstance(model.head, TripartiteHead):
            raise TypeError(
                f'ClassifierRetrainingHook needs a TripartiteHead, got {type(model.head).__name__}'
            )
        if both := [h for h in runner.hooks if isinstance(h, DeferredReweightingHook)]:
            raise ValueError(
                f'{type(both[0]).__name__} and ClassifierRetrainingHook both change the joint '
                'criterion: take one of them, or make the second stage a run of its own'
            )
        if self.reset:
            refuse_average(runner, 'ClassifierRetrainingHook with reset=True')
        _check_adjustment(model.head, self._criterion(model.head))
        self._check_views(model)
        self._trained_parameters(model.head)
        if self.reset and not hasattr(model.head.classifier, 'reset_parameters'):
            name = type(model.head.classifier).__name__
            raise TypeError(f'reset=True needs a classifier with reset_parameters, got {name}')
        if self.views[:1] != ('plain',) or not set(self.views) <= set(VIEWS):
            raise ValueError(f"views must be 'plain' and then others of {VIEWS}, got {self.views}")
        loaded = runner.epoch or runner._load_from or pretrained_file(model.backbone)
        if self.begin_epoch == 0 and not loaded:
            raise ValueError(
                'ClassifierRetrainingHook with begin_epoch=0 freezes the backbone from the start: '
                'name the checkpoint of the first stage, --cfg-options load_from=CHECKPOINT'
            )

    def switch(self, runner, first: bool) -> None:
        """Freeze, change the criterion, forget the momentum."""
        wrapped = is_model_wrapper(runner.model)
        model = bare_model(runner)
        head = model.head
        device = head.classifier.weight.device
        for averaged in averaged_models(runner):
            averaged.head.loss_module = self._criterion(averaged.head).to(device)
        head.loss_module = self._criterion(head).to(device)
        head.resting = frozenset(head.slots) - {'joint'}
        model.requires_grad_(False)
        for parameter in self._trained_parameters(head):
            parameter.requires_grad_(True)
        self._frozen = [part for name, part in model.named_children() if name != 'head']
        if self.reset and first:
            head.classifier.reset_parameters()
        if getattr(model.data_preprocessor, 'views', ('pipeline',)) != ('pipeline',):
            model.data_preprocessor.views = self.views

        optimizer = runner.optim_wrapper.optimizer
        optimizer.zero_grad(set_to_none=True)
        if first:
            optimizer.state.clear()
        if self.weight_decay is not None:
            for group in optimizer.param_groups:
                group['weight_decay'] = self.weight_decay
        if wrapped:
            # DDP fixed its list of gradients when it was built: build it anew.
            runner.model = None
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
        for name in head.resting:
            # The logger would repeat the last value of stage 1 for ever.
            runner.message_hub.log_scalars.pop(f'train/loss_{name}', None)
        print_log(f'Stage 2 from epoch {runner.epoch + 1}: classifier only', logger='current')

    def _criterion(self, head: TripartiteHead) -> nn.Module:
        """The criterion of the second stage."""
        spec = merge_spec(dict(type='ClassBalancedLoss'), part_spec('joint', self.joint or {}))
        if type_name(spec['type']) == 'ClassBalancedLoss' and 'criterion' not in spec:
            if isinstance(head.loss_module, BalancedSoftmaxLoss):
                raise TypeError(
                    'the joint criterion of the first stage, BalancedSoftmaxLoss, knows the class '
                    "counts already: name another for the second, such as joint='softmax'"
                )
            spec = dict(spec, criterion=head.loss_module)
        counts = head.class_counts
        return build_part(spec, class_counts=None if counts is None else counts.tolist())

    def _check_views(self, model: nn.Module) -> None:
        """Refuse views that are too few for what looks at them."""
        if getattr(model.data_preprocessor, 'views', ('pipeline',)) == ('pipeline',):
            return
        wanted = {'joint_views': model.head.slots['joint'].views or 0}
        companions = getattr(model, 'companions', {}).items()
        seen = {f'companions.{name}.views': companion.views for name, companion in companions}
        if companions:
            seen['views of the model'] = model.views
        wanted |= {name: max(views) + 1 for name, views in seen.items()}
        for name, number in wanted.items():
            if number > len(self.views):
                raise ValueError(
                    f'the second stage has views={self.views}, {len(self.views)} of each image, '
                    f'but {name} wants {number}: name as many in the views of '
                    'ClassifierRetrainingHook'
                )

    def _trained_parameters(self, head: TripartiteHead) -> list[nn.Parameter]:
        parameters = dict(head.named_parameters())
        trained = [
            parameter
            for name, parameter in parameters.items()
            if name == self.trained or name.startswith(f'{self.trained}.')
        ]
        if not trained:
            raise ValueError(
                f'trained={self.trained!r} is no part of {type(head).__name__}, which has '
                f'{list(parameters)}'
            )
        return trained

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Hold the frozen parts in evaluation mode; the loop calls ``model.train()`` each epoch."""
        for part in self._frozen:
            if part.training:
                part.eval()


def _check_adjustment(head: TripartiteHead, criterion: nn.Module) -> None:
    """Refuse a test-time adjustment that counts on the criterion of the first stage."""
    known = getattr(head.adjustment, 'balanced', None) if head.adjusts_joint else None
    if known is not None and known != (tau := trained_tau(criterion)):
        raise ValueError(
            f'the second stage trains with {type(criterion).__name__}, which takes {tau:g} of the '
            f"training prior out of the logits; the head's adjustment counts on {known:g}, what "
            'the criterion of the first stage took out: say with head.adjustment.balanced how much '
            'the criterion and the sampler of the second take out, 0 for nothing, 1 for all'
        )
