"""Several views of each image in a batch: made by the pipeline, or by mixing the batch."""

import numpy as np
import torch
import torch.nn as nn
from mmpretrain.models.utils import ClsDataPreprocessor
from mmpretrain.models.utils.batch_augments import CutMix
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample  # noqa: F401  (the example)

from mmlt.models.build import build_part
from mmlt.models.targets import ViewSamples, one_hot, stack_target

VIEWS = ('plain', 'mixup', 'cutmix')
PARTNERS = ('batch', 'weighted')


@MODELS.register_module()
class MultiViewDataPreprocessor(ClsDataPreprocessor):
    r"""mmpretrain's ``ClsDataPreprocessor`` that returns several views of each training batch.

    The views lie one after the other: images (V * N, C, H, W). The data samples are
    :class:`ViewSamples`: those of the N images, and the V targets as batched tensors. Testing sees
    one view and a plain list.

    Mixed views, such as ``views=('plain', 'mixup', 'cutmix')``, are made here, on the device. One
    :math:`\lambda \sim Beta(\alpha, \alpha)` and one partner of each image serve all of them. Mixup
    shows :math:`\lambda x + (1 - \lambda) x'`, cutmix pastes a box of the partner; both have the
    soft label :math:`\lambda y + (1 - \lambda) y'`. The plain view has labels. The partners are a
    random permutation of the batch, or those that :class:`MixPartnerDataset` brings along.

    ``views='pipeline'`` takes the views that mmpretrain's ``MultiView`` transform made of each
    image by different augmentations. All have the label of the image.

    ``augment`` replaces a pipeline that augments one image at a time: the batch of decoded images,
    all of one size, is augmented here, and with several entries they are the views.

    Args:
        views (str | Sequence[str]): 'pipeline', or 'plain' and then others of 'mixup', 'cutmix'.
            Defaults to all three of these.
        num_classes (int): Number of classes K; mixed views need it.
        alpha (float): Parameter of the Beta distribution, > 0. Defaults to 1.0.
        correct_lam (bool): Whether cutmix's label follows the area of the box that was really
            pasted (it is cut off at the border). The released code uses mixup's label for both
            views: False does the same. Defaults to True.
        partner (str): 'batch', or 'weighted' for a training set in a :class:`MixPartnerDataset`.
            Defaults to 'batch'.
        augment (dict | Sequence[dict], optional): Augmentation of training batches, such as
            ``dict(type='BatchCifarAugment')``; for ``views='pipeline'`` one for each view.
        **kwargs: ``mean``, ``std``, ``to_rgb``, ... of ``ClsDataPreprocessor``.

    Raises:
        ValueError: The options do not go together; the data give one image where its views or a
            partner are wanted, several where one image is, or images of different sizes.

    Source:
        Mixed views: BCE3S, released code; three views a step, partners from a second batch of a
        weighted sampler, uniform in the published run (here by default: from the same batch).
        Views of the pipeline: BCL, section 3.3.

    Example:
        >>> image = torch.zeros(3, 32, 32, dtype=torch.uint8)
        >>> samples = [DataSample().set_gt_label(k) for k in range(4)]
        >>> mix = MultiViewDataPreprocessor(num_classes=10, mean=[0] * 3, std=[255] * 3)
        >>> batch = mix(dict(inputs=[image] * 4, data_samples=samples), training=True)
        >>> batch['inputs'].shape, [target.shape for target in batch['data_samples'].targets]
        (torch.Size([12, 3, 32, 32]), [torch.Size([4]), torch.Size([4, 10]), torch.Size([4, 10])])
        >>> stack = MultiViewDataPreprocessor(views='pipeline', mean=[0] * 3, std=[255] * 3)
        >>> two_views = [[image] * 4, [image] * 4]
        >>> batch = stack(dict(inputs=two_views, data_samples=samples), training=True)
        >>> batch['inputs'].shape, batch['data_samples'].targets[1]
        (torch.Size([8, 3, 32, 32]), tensor([0, 1, 2, 3]))
    """

    def __init__(
        self,
        views=VIEWS,
        num_classes=None,
        alpha=1.0,
        correct_lam=True,
        partner='batch',
        augment=None,
        **kwargs,
    ):
        super().__init__(num_classes=num_classes, **kwargs)
        views = (views,) if isinstance(views, str) else tuple(views)
        if views != ('pipeline',) and (
            views[:1] != ('plain',) or not set(views) <= set(VIEWS) or len(set(views)) < len(views)
        ):
            raise ValueError(
                f"views must be 'plain' and then others of {VIEWS}, or 'pipeline', got {views}"
            )
        if len(views) > 1 and not num_classes:
            raise ValueError(f'views {views} make soft labels, which need num_classes')
        if views != ('plain',) and self.batch_augments is not None:
            raise ValueError(
                f'batch_augments (model.train_cfg.augments) mix the only view, but views={views} '
                'are several: set model.train_cfg=None'
            )
        if not alpha > 0:
            raise ValueError(f'alpha must be > 0, got {alpha}')
        if partner not in PARTNERS:
            raise ValueError(f'partner must be one of {PARTNERS}, got {partner!r}')
        if partner == 'weighted' and len(views) == 1:
            raise ValueError(f"partner='weighted' has nothing to mix with views={views}")
        specs = [augment] if isinstance(augment, dict | nn.Module) else augment or []
        if len(specs) > 1 and views != ('pipeline',):
            raise ValueError(
                f"augment makes {len(specs)} views of each image, which needs views='pipeline', "
                f'got views={views}'
            )
        self.augment = nn.ModuleList(build_part(spec) for spec in specs)
        self.views = views
        self.alpha = alpha
        self.partner = partner
        self.cutmix = CutMix(float(alpha), correct_lam=correct_lam)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise a batch and, in training, stack the pipeline's views or add mixed ones."""
        # PreciseBNHook takes the statistics of training batches, and asks for them as a test does:
        # those of the plain images and of the pipeline's views, not of mixtures.
        as_trained = training or self.training
        if as_trained and self.augment:
            data = dict(data, inputs=self._augment_batch(data['inputs']))
        # default_collate makes a tensor (N, C, H, W) of each view, pseudo_collate N images.
        first, *others = data['inputs'][:2]
        several = not isinstance(first, torch.Tensor) or first.dim() == 4
        samples = data.get('data_samples')
        paired = several and bool(samples) and 'partner_label' in samples[0]
        self._check_inputs(len(data['inputs']), several, paired, training or several and as_trained)
        if several and as_trained and self.views == ('pipeline',):
            return self._stack_views(data)
        if not training or len(self.views) == 1 or samples is None:
            return super().forward(dict(data, inputs=first) if paired else data, training)
        # Without the samples: the stock preprocessor would scatter their labels over the device.
        images = super().forward(dict(inputs=first if paired else data['inputs']), True)['inputs']
        labels = self._stack_on_device([sample.gt_label for sample in samples])
        if paired:
            partners = super().forward(dict(inputs=others[0]), training=True)['inputs']
            _check_sizes([images, partners], 'images and their partners')
            partner_labels = self._stack_on_device([sample.partner_label for sample in samples])
        else:
            order = torch.randperm(len(images), device=images.device)
            partners, partner_labels = images[order], labels[order]
        inputs, targets = self._mix_views(images, labels, partners, partner_labels)
        return dict(inputs=inputs, data_samples=ViewSamples(samples, targets))

    def _stack_on_device(self, labels: list[torch.Tensor]) -> torch.Tensor:
        # Stacked first, so that one transfer takes them all, and nobody waits for it.
        return torch.cat(labels).to(self.device, non_blocking=True)

    def _augment_batch(self, inputs):
        """The views that ``augment`` makes of the images, and of the partners if there are any."""
        first = inputs[0]
        alone = isinstance(first, torch.Tensor) and first.dim() == 3
        if isinstance(inputs, torch.Tensor) or alone:
            images = [inputs]
        else:
            images = list(inputs)  # image and partner, each a batch
        batches = []
        for batch in images:
            batch = self.cast_data(batch)
            batch = batch if isinstance(batch, torch.Tensor) else _stack(batch)
            if batch.dtype != torch.uint8 or batch.dim() != 4 or batch.shape[1] != 3:
                raise ValueError(
                    'augment needs uint8 images (3, H, W) as they were decoded, got '
                    f'{batch.dtype} of shape {tuple(batch.shape[1:])}'
                )
            # Colours are RGB's; the images are BGR where to_rgb is still to turn them.
            batches.append(batch.flip(1) if self.to_rgb else batch)
        views = [augment(batch) for batch in batches for augment in self.augment]
        views = [view.flip(1) for view in views] if self.to_rgb else views
        return views if len(views) > 1 else views[0]

    def _check_inputs(self, number: int, several: bool, paired: bool, training: bool) -> None:
        where = f'views={self.views} take one' if training else 'the test takes one'
        if paired and not training:
            raise ValueError(
                f'MixPartnerDataset gives a partner with each image, {where} image: wrap the '
                'training set alone'
            )
        if paired and self.partner != 'weighted':
            raise ValueError(
                'MixPartnerDataset gives a partner with each image, but '
                f"views={self.views} with partner='batch' have no use for it: set "
                "partner='weighted', or unwrap the training set"
            )
        if training and self.partner == 'weighted' and not several:
            raise ValueError(
                "partner='weighted' needs a partner with each image, got none: is the training "
                'set not wrapped in a MixPartnerDataset?'
            )
        if training and self.views == ('pipeline',):
            if not several:
                raise ValueError(
                    "views='pipeline' needs several views of each image, got one: is a MultiView "
                    'transform missing from the pipeline?'
                )
        elif several and not paired:
            raise ValueError(
                f'the pipeline gives {number} views of each image, {where}: '
                "MultiView belongs in the training pipeline, with views='pipeline'"
            )

    def _stack_views(self, data: dict) -> dict:
        views = [super(MultiViewDataPreprocessor, self).forward(dict(inputs=view), True)['inputs']
                 for view in data['inputs']]  # fmt: skip
        _check_sizes(views, 'all views')
        samples = data.get('data_samples')
        if samples is not None:
            target = stack_target(samples).to(self.device, non_blocking=True)
            samples = ViewSamples(samples, (target,) * len(views))
        return dict(inputs=torch.cat(views), data_samples=samples)

    def _mix_views(self, images, labels, partners, partner_labels) -> tuple:
        scores, partner_scores = (
            one_hot(classes, self.num_classes) for classes in (labels, partner_labels)
        )
        lam = float(np.random.beta(self.alpha, self.alpha))
        all_images, targets = [images], [labels]
        for view in self.views[1:]:
            mixed, view_lam = getattr(self, f'_{view}')(images, partners, lam)
            all_images.append(mixed)
            targets.append(view_lam * scores + (1 - view_lam) * partner_scores)
        return torch.cat(all_images), tuple(targets)

    def _mixup(self, images: torch.Tensor, partners: torch.Tensor, lam: float):
        return lam * images + (1 - lam) * partners, lam

    def _cutmix(self, images: torch.Tensor, partners: torch.Tensor, lam: float):
        (top, bottom, left, right), lam = self.cutmix.cutmix_bbox_and_lam(images.shape[-2:], lam)
        mixed = images.clone()
        mixed[..., top:bottom, left:right] = partners[..., top:bottom, left:right]
        return mixed, float(lam)


def _check_sizes(images: list[torch.Tensor], what: str) -> None:
    sizes = [tuple(view.shape[-2:]) for view in images]
    if len(set(sizes)) > 1:
        raise ValueError(f'{what} must have one size, got (H, W) = {sizes}')


def _stack(images) -> torch.Tensor:
    _check_sizes(images, 'images that augment takes')
    return torch.stack(list(images))
