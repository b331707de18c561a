"""The second stage of a two-stage recipe: inside one run, or a run of its own."""

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmpretrain.registry import HOOKS

from mmlt.engine.bare_model import bare_model


@HOOKS.register_module()
class ClassifierRetrainingHook(Hook):
    r"""From ``begin_epoch`` on, train the classifier alone, with a re-balanced joint criterion.

    Everything but ``head.classifier`` is frozen: no gradient, no weight decay, BatchNorm in
    evaluation mode so that its statistics stay bit for bit what they were. The contrast and
    uniform slots rest. The optimizer's momentum is forgotten at the switch. The learning rate is
    the business of ``param_scheduler``. A resumed run switches in the same epoch.

    With ``begin_epoch=0`` the run is the second stage of another run, whose checkpoint
    ``load_from`` names. Other methods by the same switch: cRT (``reset=True``,
    ``joint='softmax'``, ``ClassBalancedSampler``) and LWS (``trained='classifier.scale'`` with
    ``ScaledLinear``, the same criterion and sampler).

    Args:
        begin_epoch (int): First epoch (from 0) of the second stage.
        joint (str | dict): Criterion of the second stage. Defaults to
            ``dict(type='ClassBalancedLoss')`` (eq. 35).
        trained (str): The part of the head that is trained. Defaults to 'classifier'.
        reset (bool): Whether the classifier begins from new random numbers. Defaults to False.
        views (Sequence[str]): Mixed views of ``MultiViewDataPreprocessor`` from then on; those of
            a pipeline stay. Defaults to ``('plain', )``.
        weight_decay (float, optional): Weight decay from then on. Defaults to 0.0; None keeps it.

    Source:
        BCE3S, appendix E. The released second stage leaves BatchNorm in training mode, so the
        frozen features drift; here they do not. cRT and LWS: Kang et al. 2020, section 4.

    Example:
        ``custom_hooks = [dict(type='ClassifierRetrainingHook', begin_epoch=200)]``
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
        if begin_epoch < 0:
            raise ValueError(f'begin_epoch must be >= 0, got {begin_epoch}')
        self.begin_epoch = begin_epoch
        self.joint = joint or dict(type='ClassBalancedLoss')
        self.trained = trained
        self.reset = reset
        self.views = tuple(views)
        self.weight_decay = weight_decay
        self._frozen = []

    def before_train(self, runner) -> None:
        """Refuse another head now, and to freeze a backbone that nothing has trained."""
        model = bare_model(runner)
        if not hasattr(model.head, 'train_classifier_only'):
            raise TypeError(
                f'ClassifierRetrainingHook needs a TripartiteHead, got {type(model.head).__name__}'
            )
        init_cfg = getattr(model.backbone, 'init_cfg', None) or {}
        specs = init_cfg if isinstance(init_cfg, list) else [init_cfg]
        pretrained = any(spec.get('type') == 'Pretrained' for spec in specs)
        if self.begin_epoch == 0 and not (runner.epoch or runner._load_from or pretrained):
            raise ValueError(
                'ClassifierRetrainingHook with begin_epoch=0 freezes the backbone from the start: '
                'name the checkpoint of the first stage, --cfg-options load_from=CHECKPOINT'
            )

    def before_train_epoch(self, runner) -> None:
        """Switch once, also when a run was resumed in the second stage."""
        if self._frozen or runner.epoch < self.begin_epoch:
            return
        wrapped = is_model_wrapper(runner.model)
        model = bare_model(runner)
        model.head.train_classifier_only(self.joint)
        self._freeze(model)
        if self.reset and runner.epoch == self.begin_epoch:
            model.head.classifier.reset_parameters()
        if getattr(model.data_preprocessor, 'views', ('pipeline',)) != ('pipeline',):
            model.data_preprocessor.views = self.views

        optimizer = runner.optim_wrapper.optimizer
        optimizer.zero_grad(set_to_none=True)
        if runner.epoch == self.begin_epoch:
            optimizer.state.clear()
        if self.weight_decay is not None:
            for group in optimizer.param_groups:
                group['weight_decay'] = self.weight_decay
        if wrapped:
            # DDP fixed its list of gradients when it was built: build it anew.
            runner.model = None
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
        for name in ('loss_contrast', 'loss_uniform'):
            # The logger would repeat the last value of stage 1 for ever.
            runner.message_hub.log_scalars.pop(f'train/{name}', None)
        print_log(f'Stage 2 from epoch {runner.epoch + 1}: classifier only', logger='current')

    def _freeze(self, model) -> None:
        model.requires_grad_(False)
        parts = (self.trained, f'{self.trained}.')
        trained = [
            parameter
            for name, parameter in model.head.named_parameters()
            if name == parts[0] or name.startswith(parts[1])
        ]
        if not trained:
            raise ValueError(
                f'trained={self.trained!r} is no part of {type(model.head).__name__}, which has '
                f'{[name for name, _ in model.head.named_parameters()]}'
            )
        for parameter in trained:
            parameter.requires_grad_(True)
        self._frozen = [part for name, part in model.named_children() if name != 'head']

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Hold the frozen parts in evaluation mode; the loop calls ``model.train()`` each epoch."""
        for part in self._frozen:
            if part.training:
                part.eval()
