"""One head, three slots: sample - class, sample - sample, class - class."""

import inspect

import torch
import torch.nn as nn
from mmpretrain.evaluation.metrics import Accuracy
from mmpretrain.models.heads import ClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmlt.class_counts import load_class_counts
from mmlt.functional import class_log_prior, sample_negatives
from mmlt.functional.numerics import upcast
from mmlt.models.build import build_part
from mmlt.models.layers import NormedLinear, ScaledLinear
from mmlt.models.targets import split_views, stack_target

PAIR_CRITERIA = {'sigmoid': 'SigmoidPairLoss', 'softmax': 'SoftmaxPairLoss'}
UNIFORM_CRITERIA = {'sigmoid': 'SigmoidUniformLoss', 'softmax': 'SoftmaxUniformLoss'}


@MODELS.register_module()
class TripartiteHead(ClsHead):
    r"""Joint, contrast and uniform criteria on one classifier, in place of ``LinearClsHead``.

    .. math::
        L = L_{joint}(W x + b, y) + L_{contrast}(P(x), y) + L_{uniform}(W W^T)

    Each slot takes a criterion's config, ``'sigmoid'`` or ``'softmax'``; contrast and uniform also
    take None. The weights of the slots are the ``loss_weight`` of their criteria. In the test only
    the classifier runs.

    With one view in the batch, all slots see it. With more (``MultiViewDataPreprocessor``), the
    joint loss is the mean over the first ``joint_views`` of them. What the contrast slot compares
    is its neck's business: :class:`MemoryBankNeck` the other views with one remembered projection a
    class (BCE3S), :class:`PrototypeNeck` the other views with each other (BCL).

    Args:
        num_classes (int): Number of classes K.
        in_channels (int): Width D of the features.
        class_counts (optional): Training images per class, as :func:`mmlt.load_class_counts` takes
            them. Kept as a buffer and given to the criteria that want it.
        classifier (dict): The layer of the joint similarity. Defaults to
            ``dict(type='NormedLinear')``.
        joint (str | dict): Criterion of logits and labels. Defaults to 'sigmoid'.
        contrast (str | dict, optional): Criterion of what ``neck`` gives it, and labels.
        uniform (str | dict, optional): Criterion of the class vectors.
        neck (dict, optional): The contrast slot's projector, and what it compares with. Defaults to
            ``dict(type='MemoryBankNeck')``.
        joint_views (int, optional): How many views, from the first on, the joint loss sees.
            Defaults to None: all.
        margin (dict, optional): Moves the label's logit in training, such as
            ``dict(type='DBMMargin')``; needs a classifier with cosines (``CosineLinear``). Mixed
            images, which have no one label, get none.
        negative_ratio (float): Part r in (0, 1] of the negative (sample, class) pairs that the
            plain view's joint loss keeps. Defaults to 1.0.
        negative_sampling (str): 'sample' draws for each sample and class (eq. 3); 'batch' draws one
            set of classes a batch, the batch's own always in it (the released code).
        logit_adjustment (float): Test-time tau: tau * log prior of ``class_counts`` is subtracted
            from the logits. Defaults to 0.0.
        target_class_counts (optional): Class counts of the set that is tested, in the forms of
            ``class_counts``; tau times their log prior is added. Defaults to None: balanced.
        tau_normalization (float, optional): Test-time tau in [0, 1]: the rows of a linear
            classifier are divided by their norm to the power tau, and the bias is dropped.
        keep_features (bool): Whether :meth:`predict` leaves the features in the data samples, for
            the ``FeatureGeometry`` metric. Defaults to False.
        **kwargs: ``topk``, ``cal_acc`` and ``init_cfg`` of mmpretrain's ``ClsHead``.

    Shape:
        feats: tuple whose last item is (V * N, D), view after view -> dict of scalars
        ``loss_joint``, ``loss_contrast``, ``loss_uniform``.

    Source:
        BCE3S, eqs. 6 and 25; views and bank as released. Logit adjustment: Menon et al. 2021,
        eq. 9; with a target prior: Hong et al. 2021 (LADE). Tau-normalisation: Kang et al. 2020,
        section 4.

    Example:
        >>> head = TripartiteHead(10, 64, joint='sigmoid', contrast='sigmoid', uniform='softmax')
        >>> samples = [DataSample().set_gt_label(k) for k in range(4)]
        >>> sorted(head.loss((torch.rand(4, 64),), samples))
        ['loss_contrast', 'loss_joint', 'loss_uniform']
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        class_counts=None,
        classifier: dict | None = None,
        joint: str | dict = 'sigmoid',
        contrast: str | dict | None = None,
        uniform: str | dict | None = None,
        neck: dict | None = None,
        joint_views: int | None = None,
        margin: dict | None = None,
        negative_ratio: float = 1.0,
        negative_sampling: str = 'sample',
        logit_adjustment: float = 0.0,
        target_class_counts=None,
        tau_normalization: float | None = None,
        keep_features: bool = False,
        **kwargs,
    ):
        counts = None if class_counts is None else load_class_counts(class_counts)
        if counts is not None and len(counts) != num_classes:
            raise ValueError(
                f'class_counts has {len(counts)} classes, num_classes is {num_classes}'
            )
        if not 0 < negative_ratio <= 1:
            raise ValueError(f'negative_ratio must be in (0, 1], got {negative_ratio}')
        if negative_sampling not in ('sample', 'batch'):
            raise ValueError(
                f"negative_sampling must be 'sample' or 'batch', got {negative_sampling!r}"
            )
        if joint_views is not None and joint_views < 1:
            raise ValueError(f'joint_views must be >= 1, got {joint_views}')
        # ClsHead keeps the criterion as loss_module, where mmpretrain's SwitchRecipeHook finds it.
        super().__init__(loss=_build_criterion(joint, PAIR_CRITERIA, counts, 'joint'), **kwargs)
        if negative_ratio < 1:
            _require_mask(self.loss_module, negative_ratio)
        # A checkpoint may bring other counts; the criteria are built from the config's.
        self._counts = counts
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.negative_ratio = negative_ratio
        self.negative_sampling = negative_sampling
        self.joint_views = joint_views
        self.keep_features = keep_features
        self.register_buffer('class_counts', None if counts is None else torch.tensor(counts))

        self.classifier = build_part(
            dict(type='NormedLinear') | (classifier or {}),
            in_features=in_channels,
            out_features=num_classes,
        )
        self.margin = None
        if margin is not None:
            if not hasattr(self.classifier, 'cosine'):
                raise ValueError(
                    'margin needs a classifier with cosines, such as CosineLinear, got '
                    f'{type(self.classifier).__name__}'
                )
            self.margin = build_part(margin, counts)
        self._set_test_time(logit_adjustment, target_class_counts, tau_normalization)
        self.contrast = self.uniform = self.neck = None
        if contrast is not None:
            self.contrast = _build_criterion(contrast, PAIR_CRITERIA, counts, 'contrast')
            self.neck = build_part(
                dict(type='MemoryBankNeck') | (neck or {}),
                counts,
                in_channels=in_channels,
                num_classes=num_classes,
            )
            self.neck.check_criterion(self.contrast)
        if uniform is not None:
            self.uniform = _build_criterion(uniform, UNIFORM_CRITERIA, counts, 'uniform')

    def _set_test_time(self, logit_adjustment, target_class_counts, tau_normalization) -> None:
        if logit_adjustment and self._counts is None:
            raise ValueError('logit_adjustment needs class_counts')
        target = None
        if target_class_counts is not None:
            if not logit_adjustment:
                raise ValueError('target_class_counts needs logit_adjustment > 0, such as 1.0')
            target = torch.tensor(load_class_counts(target_class_counts))
            if len(target) != self.num_classes:
                raise ValueError(
                    f'target_class_counts has {len(target)} classes, num_classes is '
                    f'{self.num_classes}'
                )
        # What the test set is like is no business of a checkpoint.
        self.register_buffer('target_class_counts', target, persistent=False)
        if tau_normalization is not None:
            if not isinstance(self.classifier, nn.Linear) or isinstance(
                self.classifier, NormedLinear | ScaledLinear
            ):
                raise ValueError(
                    'tau_normalization needs a linear classifier whose rows differ in norm, got '
                    f'{type(self.classifier).__name__}'
                )
            if not 0 <= tau_normalization <= 1:
                raise ValueError(f'tau_normalization must be in [0, 1], got {tau_normalization}')
        self.logit_adjustment = logit_adjustment
        self.tau_normalization = tau_normalization

    def forward(self, feats: tuple[torch.Tensor]) -> torch.Tensor:
        """Compute the test-time logits (N, K) of the last item (N, D) of ``feats``."""
        features = self.pre_logits(feats)
        if self.tau_normalization is None:
            logits = self.classifier(features)
        else:
            weight = self.classifier.weight
            norm = weight.norm(dim=1, keepdim=True).clamp(min=1e-12)
            logits = nn.functional.linear(features, weight / norm**self.tau_normalization)
        if self.logit_adjustment:
            log_ratio = class_log_prior(self.class_counts)
            if self.target_class_counts is not None:
                log_ratio = log_ratio - class_log_prior(self.target_class_counts)
            logits = logits - self.logit_adjustment * log_ratio.to(logits)
        return logits

    def pre_logits(self, feats: tuple[torch.Tensor]) -> torch.Tensor:
        """Take the last stage's features and check their width."""
        features = upcast(feats[-1])
        if features.dim() != 2 or features.shape[1] != self.in_channels:
            raise ValueError(
                f'in_channels of {type(self).__name__} is {self.in_channels}, so the features must '
                f'be (N, {self.in_channels}), but the backbone and neck give '
                f'{tuple(features.shape)}'
                + ('; is a GlobalAveragePooling neck missing?' if features.dim() == 4 else '')
            )
        return features

    def predict(self, feats, data_samples=None) -> list[DataSample]:
        """Predict as mmpretrain's heads do; ``keep_features`` adds the field ``features``."""
        predictions = super().predict(feats, data_samples)
        if self.keep_features:
            for sample, features in zip(predictions, self.pre_logits(feats)):
                # A copy: a row of the batch would drag the whole batch into a pickle.
                sample.set_field(features.clone(), 'features')
        return predictions

    def loss(self, feats: tuple[torch.Tensor], data_samples: list[DataSample]) -> dict:
        """Compute the losses of the slots in use, and what ``cal_acc`` asks for, in float32."""
        with torch.autocast(feats[-1].device.type, enabled=False):
            return self._loss(feats, data_samples)

    def _loss(self, feats, data_samples) -> dict:
        features = self.pre_logits(feats)
        targets = [stack_target(samples) for samples in split_views(data_samples)]
        views = features.chunk(len(targets))
        joint = targets[: self.joint_views]
        logits = self.training_logits(features[: len(joint) * len(views[0])], joint)

        losses = dict(loss_joint=self.joint_loss(logits, joint))
        if self.contrast is not None:
            losses['loss_contrast'] = self.neck.loss(
                self.contrast, views, targets, self.classifier.weight
            )
        if self.uniform is not None:
            losses['loss_uniform'] = self.uniform(self.classifier.weight)
        if self.cal_acc:
            losses.update(self._accuracy(self.classifier(views[0]), targets[0]))
        return losses

    def training_logits(self, features, targets) -> list[torch.Tensor]:
        """Logits of each view, the label's moved by the margin where there is one."""
        if self.margin is None:
            return self.classifier(features).chunk(len(targets))
        scale = self.classifier.scale
        return [
            self.margin(cosine, target, scale) if target.dim() == 1 else scale * cosine
            for cosine, target in zip(self.classifier.cosine(features).chunk(len(targets)), targets)
        ]

    def joint_loss(self, logits, targets) -> torch.Tensor:
        """Mean over the views of the joint criterion; the plain view re-samples its negatives."""
        kwargs = {}
        if self.negative_ratio < 1:
            kwargs['negative_mask'] = sample_negatives(
                targets[0], self.num_classes, self.negative_ratio, per=self.negative_sampling
            )
        parts = [self.loss_module(logits[0], targets[0], **kwargs)]
        parts += [self.loss_module(*mixed) for mixed in zip(logits[1:], targets[1:])]
        return sum(parts) / len(parts)

    def _accuracy(self, logits, target) -> dict:
        if target.dim() == 2:
            raise ValueError('cal_acc needs labels, but the batch has soft labels: turn it off')
        topk = self.topk if isinstance(self.topk, tuple) else (self.topk,)
        return {
            f'accuracy_top-{k}': accuracy
            for k, accuracy in zip(topk, Accuracy.calculate(logits, target, topk=topk))
        }

    def train_classifier_only(self, joint: str | dict) -> None:
        """Keep the joint slot alone, with another criterion; the bank stays in the state dict."""
        criterion = _build_criterion(joint, PAIR_CRITERIA, self._counts, 'joint')
        self.loss_module = criterion.to(self.classifier.weight.device)
        self.contrast = self.uniform = None


def _require_mask(criterion: nn.Module, negative_ratio: float) -> None:
    if 'negative_mask' not in inspect.signature(criterion.forward).parameters:
        raise ValueError(
            f'joint: negative_ratio={negative_ratio} needs a criterion whose forward takes '
            f'negative_mask, {type(criterion).__name__} does not'
        )


def _build_criterion(spec, names: dict, class_counts, slot: str) -> nn.Module:
    """Build a slot's criterion from its name or config."""
    if isinstance(spec, nn.Module):
        return spec
    if isinstance(spec, str):
        if spec not in names:
            raise ValueError(f'{slot} must be one of {sorted(names)} or a config, got {spec!r}')
        spec = dict(type=names[spec])
    if not isinstance(spec, dict) or 'type' not in spec:
        raise TypeError(f'{slot} must be a name of {sorted(names)} or a config with a type: {spec}')
    return build_part(spec, class_counts)
