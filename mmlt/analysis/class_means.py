"""Class vectors without text: the means of what a frozen network makes of the training images."""

import copy
import logging
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmengine.utils import track_iter_progress
from mmpretrain.registry import MODELS

from mmlt.analysis.loading import open_model, use_scope
from mmlt.analysis.model_outputs import build_loader
from mmlt.engine.hooks.class_names_check_hook import names_of
from mmlt.models.class_vectors_init import drop_class_vectors


class ClassMeans(NamedTuple):
    """What the pass over the training images leaves."""

    vectors: torch.Tensor  # (K, D) float64, not of unit length
    counts: list[int]  # training images of each class
    names: tuple[str, ...] | None  # what the dataset calls the classes


@torch.no_grad()
def class_means(cfg: Config, checkpoint=None, amp=False, unit_features=False) -> ClassMeans:
    r"""Compute :math:`m_k = \frac{1}{n_k} \sum_{i: y_i = k} x_i` over the training images.

    Each image is seen once, through the test pipeline, without augmentation, in evaluation mode.
    Sums are in float64.

    Args:
        cfg (Config): of a training.
        checkpoint (str, optional): its weights. Without, those that the model begins from
            (``model.backbone.init_cfg``).
        amp (bool): mixed precision. Defaults to False.
        unit_features (bool): whether each feature is brought to unit length first, so that an image
            with a long feature counts no more than another. Defaults to False, the plain mean.

    Raises:
        ValueError: a class without images, weights that are not said, a head of another kind.

    Source:
        LIFT (Shi et al., ICML 2024), the start that needs no text; that the mean is the plain one
        is our reading.

    Example:
        >>> class_means(cfg).vectors.shape  # doctest: +SKIP
        torch.Size([100, 768])
    """
    use_scope(cfg)
    model = _begun(cfg) if checkpoint is None else open_model(cfg, checkpoint)[0]
    number = _number_of_classes(model)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    model.to(device).eval()
    loader = build_loader(cfg, 'train')
    names = names_of(loader.dataset)
    if names and len(names) != number:
        raise ValueError(f'the head has {number} classes, the training set {len(names)}')
    sums, counts = 0.0, torch.zeros(number, dtype=torch.int64)
    for batch in track_iter_progress((loader, len(loader))):
        data = model.data_preprocessor(batch, training=False)
        with torch.autocast(device.type, enabled=amp):
            features = model.head.pre_logits(model.extract_feat(data['inputs'])).cpu().double()
        labels = torch.cat([sample.gt_label for sample in data['data_samples']]).cpu()
        if features.ndim != 2 or len(labels) != len(features) or labels.max() >= number:
            raise ValueError(
                f'features {tuple(features.shape)}, {len(labels)} labels up to {labels.max()}: '
                f'expected (D,) and one label below {number} an image'
            )
        features = F.normalize(features, dim=1) if unit_features else features
        rows = features.new_zeros(number, features.shape[1])
        sums = sums + rows.index_add_(0, labels, features)
        counts += labels.bincount(minlength=number)
    empty = (counts == 0).nonzero().flatten().tolist()
    if empty:
        name = f' ({names[empty[0]]!r})' if names else ''
        raise ValueError(
            f'{len(empty)} of {number} classes have no training image, first {empty[0]}{name}: '
            'they have no mean'
        )
    return ClassMeans(sums / counts[:, None], counts.tolist(), names)


def _number_of_classes(model) -> int:
    head = getattr(model, 'head', None)
    number = getattr(head, 'num_classes', None)
    if not hasattr(head, 'pre_logits') or number is None or hasattr(head, 'experts'):
        raise ValueError(
            'class means are for one head with num_classes and pre_logits, got '
            f'{type(head).__name__}'
        )
    return number


def _begun(cfg: Config) -> BaseModule:
    """The model as a training begins it; the head's own start is not needed for features."""
    if not _pretrained(cfg.model):
        raise ValueError(
            "the model begins from random weights (no init_cfg of type 'Pretrained'), whose "
            'features say nothing: give a CHECKPOINT'
        )
    spec = copy.deepcopy(cfg.model)
    spec.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    model = MODELS.build(spec)
    drop_class_vectors(model)
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)  # it would list every parameter
    try:
        model.init_weights()
    finally:
        logger.setLevel(level)
    return model


def _pretrained(spec) -> bool:
    """Whether any part of a model's config begins from weights of a file."""
    if isinstance(spec, dict):
        kind = getattr(spec.get('type'), '__name__', spec.get('type'))
        return str(kind) in ('Pretrained', 'PretrainedInit') or any(map(_pretrained, spec.values()))
    return isinstance(spec, list | tuple) and any(map(_pretrained, spec))
