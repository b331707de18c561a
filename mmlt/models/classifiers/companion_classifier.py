"""A classifier beside which a teacher or a momentum encoder runs in training."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.registry import MODELS

from mmlt.models.build import build_part
from mmlt.models.classifiers.companion import Companion, check_views
from mmlt.models.slots.batch import CompanionOutput
from mmlt.models.targets import ViewSamples, view_targets


@MODELS.register_module()
class CompanionClassifier(ImageClassifier):
    """mmpretrain's ``ImageClassifier`` with companions that see views of their own in training.

    Each step the companions see the views that they want, then the model sees its own, and the
    companions' outputs go to the slots of the head, as ``batch.companions[name]``. The views come
    from ``MultiViewDataPreprocessor``.

    A companion is no part of the model: it is not among its parameters, buffers and modules, so no
    optimizer, EMA or export knows of it, and a test does without. Its state is in the state dict
    under ``companions.NAME``, a frozen teacher's only if it says so.

    Args:
        companions (dict): Name -> config, such as ``dict(momentum=dict(type='MomentumEncoder'))``
            or ``dict(teacher=dict(type='FrozenTeacher', ...))``.
        views (Sequence[int]): The views that the model itself sees; 0, the plain one, is the
            first. Defaults to ``(0,)``.
        **kwargs: ``backbone``, ``neck``, ``head``, ... of ``ImageClassifier``; the head is one of
            mmlt's.

    Raises:
        ValueError: A view that nobody makes; no companions.
        TypeError: A companion of another kind.

    Example:
        >>> model = CompanionClassifier(
        ...     companions=dict(momentum=dict(type='MomentumEncoder')),
        ...     backbone=dict(type='CifarResNet', depth=20),
        ...     neck=dict(type='GlobalAveragePooling'),
        ...     head=dict(type='TripartiteHead', num_classes=3, in_channels=64, joint='softmax',
        ...               contrast='softmax', neck=dict(type='MomentumQueue', size=8)))
        >>> images = torch.rand(4, 3, 8, 8)  # two views of two images
        >>> samples = ViewSamples([None] * 2, (torch.tensor([0, 2]),) * 2)
        >>> sorted(model.loss(images, samples))
        ['loss_contrast', 'loss_joint']
    """

    def __init__(self, companions: dict, views: Sequence[int] = (0,), **kwargs):
        super().__init__(**kwargs)
        self.views = check_views('views', views)
        if self.views[0] != 0:
            raise ValueError(f'views must begin with 0, the plain view, got {views!r}')
        if not companions:
            raise ValueError("companions has none: take type='ImageClassifier'")
        # A plain dict: what nn.Module registered would be a part of the model.
        self.companions = {name: build_part(dict(spec)) for name, spec in companions.items()}
        for name, companion in self.companions.items():
            if not isinstance(companion, Companion):
                raise TypeError(
                    f'companions.{name} must be a FrozenTeacher, a MomentumEncoder or another '
                    f'Companion, got {type(companion).__name__}'
                )
            companion.attach(self)

    def init_weights(self) -> None:
        """Initialise the model; training begins here, so the companions get ready too."""
        super().init_weights()
        for companion in self.companions.values():
            companion.prepare(self)

    def forward(self, inputs: torch.Tensor, data_samples=None, mode: str = 'tensor'):
        """Compute logits, losses or predictions, as ``ImageClassifier`` does."""
        if mode == 'tensor' and isinstance(data_samples, ViewSamples):
            # PreciseBNHook shows training batches: the statistics are of the model's own views.
            images = inputs.chunk(len(data_samples.targets))
            inputs = torch.cat([images[view] for view in self.views])
        return super().forward(inputs, data_samples, mode)

    def loss(self, inputs: torch.Tensor, data_samples) -> dict:
        """Show the companions and the model their views; the head computes the losses."""
        targets = view_targets(data_samples)
        images = inputs.chunk(len(targets))
        for name, views in self._wanted().items():
            if max(views) >= len(targets):
                raise ValueError(
                    f'{name} is {views}, but the batch has {len(targets)} views of each image: '
                    "take MultiView in the training pipeline and views='pipeline' in "
                    'MultiViewDataPreprocessor'
                )
        outputs = {
            name: _with_targets(companion.observe(images, self), targets)
            for name, companion in self.companions.items()
        }
        feats = self.extract_feat(torch.cat([images[view] for view in self.views]))
        samples = data_samples[: len(targets[0])]
        own = ViewSamples(samples, tuple(targets[view] for view in self.views))
        return self.head.loss(feats, own, **outputs)

    def _wanted(self) -> dict:
        wanted = {f'companions.{name}.views': c.views for name, c in self.companions.items()}
        return {'views': self.views} | wanted

    def _apply(self, fn, recurse: bool = True):
        for companion in self.companions.values():
            companion._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def _save_to_state_dict(self, destination, prefix, keep_vars) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, companion in self.companions.items():
            if companion.saved:
                companion.state_dict(
                    destination=destination,
                    prefix=f'{prefix}companions.{name}.',
                    keep_vars=keep_vars,
                )

    def _load_from_state_dict(
        self, state_dict, prefix, metadata, strict, missing, unexpected, errors
    ) -> None:
        # mmengine and torch load a module's own entries by this method; a companion loads whole.
        place = f'{prefix}companions.'
        theirs = {key: state_dict.pop(key) for key in list(state_dict) if key.startswith(place)}
        super()._load_from_state_dict(
            state_dict, prefix, metadata, strict, missing, unexpected, errors
        )
        for name, companion in self.companions.items():
            own = f'{place}{name}.'
            state = {
                key[len(own) :]: theirs.pop(key) for key in list(theirs) if key.startswith(own)
            }
            if not companion.saved:
                theirs |= {own + key: value for key, value in state.items()}
                continue
            try:
                lacks, has = companion.load_state_dict(state, strict=False)
            except RuntimeError as error:
                errors += [
                    line.strip().replace('size mismatch for ', f'size mismatch for {own}')
                    for line in str(error).split('\n')[1:]
                ]
                continue
            missing += [own + key for key in lacks]
            unexpected += [own + key for key in has]
        unexpected += list(theirs)


def _with_targets(output, targets: Sequence[torch.Tensor]):
    """A companion's output, with the targets of views that the model itself may not see."""
    if not isinstance(output, CompanionOutput) or output.targets:
        return output
    return replace(output, targets=dict(enumerate(targets)))
