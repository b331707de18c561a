"""Plain, mixup and cutmix views of a batch, made on the device."""

import numpy as np
import torch
import torch.nn.functional as F
from mmpretrain.models.utils import ClsDataPreprocessor
from mmpretrain.models.utils.batch_augments import CutMix
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

VIEWS = ('plain', 'mixup', 'cutmix')


@MODELS.register_module()
class MultiViewDataPreprocessor(ClsDataPreprocessor):
    r"""mmpretrain's ``ClsDataPreprocessor`` that returns several views of each training batch.

    One :math:`\lambda \sim Beta(\alpha, \alpha)` and one random permutation of the batch, which
    gives each image its partner, serve all views. Mixup shows :math:`\lambda x + (1 - \lambda) x'`,
    cutmix pastes a box of the partner; both have the soft label
    :math:`\lambda y + (1 - \lambda) y'`. Testing sees one view.

    The views lie one after the other: images (V * N, C, H, W), and V * N data samples, each with
    its number in the meta field ``view``. The plain view has labels, the mixed ones soft labels.

    Args:
        views (Sequence[str]): The views, of 'plain', 'mixup', 'cutmix'; the first must be 'plain'.
            Defaults to all three.
        num_classes (int): Number of classes K.
        alpha (float): Parameter of the Beta distribution, > 0. Defaults to 1.0.
        correct_lam (bool): Whether cutmix's label follows the area of the box that was really
            pasted (it is cut off at the border). The released code uses mixup's label for both
            views: False does the same. Defaults to True.
        **kwargs: ``mean``, ``std``, ``to_rgb``, ... of ``ClsDataPreprocessor``.

    Source:
        BCE3S, released code: three views a step, partners drawn uniformly from a second batch
        (here: from the same batch).

    Example:
        >>> make_views = MultiViewDataPreprocessor(num_classes=10, mean=[0] * 3, std=[255] * 3)
        >>> batch = dict(inputs=[torch.zeros(3, 32, 32, dtype=torch.uint8)] * 4,
        ...              data_samples=[DataSample().set_gt_label(k) for k in range(4)])
        >>> views = make_views(batch, training=True)
        >>> views['inputs'].shape, len(views['data_samples'])
        (torch.Size([12, 3, 32, 32]), 12)
    """

    def __init__(self, views=VIEWS, num_classes=None, alpha=1.0, correct_lam=True, **kwargs):
        super().__init__(num_classes=num_classes, **kwargs)
        views = (views,) if isinstance(views, str) else tuple(views)
        if views[:1] != ('plain',) or not set(views) <= set(VIEWS) or len(set(views)) < len(views):
            raise ValueError(f"views must be 'plain' and then others of {VIEWS}, got {views}")
        if len(views) > 1 and not num_classes:
            raise ValueError(f'views {views} make soft labels, which need num_classes')
        if len(views) > 1 and self.batch_augments is not None:
            raise ValueError('views and batch_augments both mix the batch: use one of them')
        if not alpha > 0:
            raise ValueError(f'alpha must be > 0, got {alpha}')
        self.views = views
        self.alpha = alpha
        self.cutmix = CutMix(float(alpha), correct_lam=correct_lam)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise a batch and, in training, add its mixed views."""
        batch = super().forward(data, training)
        images, samples = batch['inputs'], batch['data_samples']
        if not training or len(self.views) == 1 or samples is None:
            return batch
        labels = torch.cat([sample.gt_label for sample in samples])
        scores = F.one_hot(labels, self.num_classes).float()
        lam = float(np.random.beta(self.alpha, self.alpha))
        partner = torch.randperm(len(images), device=images.device)

        all_images, all_samples = [images], list(samples)
        for sample in samples:
            sample.set_field(0, 'view', field_type='metainfo')
        for number, view in enumerate(self.views[1:], start=1):
            mixed, view_lam = getattr(self, f'_{view}')(images, partner, lam)
            mixed_scores = view_lam * scores + (1 - view_lam) * scores[partner]
            all_images.append(mixed)
            for label, score in zip(labels, mixed_scores):
                sample = DataSample(metainfo=dict(view=number, num_classes=self.num_classes))
                all_samples.append(sample.set_gt_label(label).set_gt_score(score))
        return dict(inputs=torch.cat(all_images), data_samples=all_samples)

    def _mixup(self, images: torch.Tensor, partner: torch.Tensor, lam: float):
        return lam * images + (1 - lam) * images[partner], lam

    def _cutmix(self, images: torch.Tensor, partner: torch.Tensor, lam: float):
        (top, bottom, left, right), lam = self.cutmix.cutmix_bbox_and_lam(images.shape[-2:], lam)
        mixed = images.clone()
        mixed[..., top:bottom, left:right] = images[partner, :, top:bottom, left:right]
        return mixed, float(lam)
