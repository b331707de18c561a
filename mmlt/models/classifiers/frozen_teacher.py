"""A trained model that shows another what it makes of the images."""

import copy
import logging
from collections.abc import Sequence

import torch
import torch.nn as nn
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.registry import MODELS

from mmlt.checkpoint import TRAINING_ONLY, CheckpointError, check_weights
from mmlt.config_file import values_in_text
from mmlt.models.build import build_part
from mmlt.models.classifiers.companion import Companion, own_features
from mmlt.models.slots.batch import CompanionOutput


@MODELS.register_module()
class FrozenTeacher(Companion):
    """A classifier with the weights of a checkpoint, in evaluation mode whatever the model is in.

    It is built and loaded when training begins: a test, an export and a published model need
    neither the file nor the memory. Its images are those of the model, so it must have been trained
    on the same normalisation, channel order and classes. The checkpoint tells, and what differs is
    refused; the names of the classes are compared by ``ClassNamesCheckHook``.

    Args:
        model (dict): Config of the teacher, as ``model`` of the config that it was trained with.
        checkpoint (str, optional): Its weights, a path or an address. Needed for training, unless
            ``in_checkpoint`` and a resumed checkpoint has them.
        views (Sequence[int]): Views of each image that it sees; the last is the one that queues
            remember. Defaults to ``(0,)``.
        in_checkpoint (bool): Whether the student's checkpoints hold the teacher too. Defaults to
            False: a resumed run loads it from ``checkpoint`` again.

    Raises:
        ValueError: No checkpoint; other classes or another normalisation than the student's.
        CheckpointError: Weights that do not fit the config.

    Source:
        GML (Suh and Seo, ICML 2023).

    Example:
        ``companions=dict(teacher=dict(type='FrozenTeacher', model=..., checkpoint='last.pth'))``
    """

    def __init__(
        self,
        model: dict,
        checkpoint: str | None = None,
        views: Sequence[int] = (0,),
        in_checkpoint: bool = False,
    ):
        super().__init__(views)
        if not isinstance(model, dict) or 'type' not in model:
            raise TypeError(f'model must be the config of the teacher, with a type, got {model!r}')
        self.spec = copy.deepcopy(model)
        self.checkpoint = checkpoint
        self.saved = in_checkpoint
        self.network = None
        self.loaded = False
        self.dataset_meta = None  # of the checkpoint; ClassNamesCheckHook compares its classes
        if in_checkpoint:
            self._build()
        self._register_load_state_dict_pre_hook(self._note_weights)

    def __deepcopy__(self, memo):
        # It never changes, so the copy that an EMA makes of the model shares it.
        return self

    def train(self, mode: bool = True) -> 'FrozenTeacher':
        """Stay in evaluation mode."""
        return super().train(False)

    def prepare(self, model: nn.Module) -> None:
        """Load the weights, once."""
        if self.loaded or (self.saved and self.checkpoint is None):
            return
        if self.checkpoint is None:
            raise ValueError(
                'FrozenTeacher has no checkpoint: train the teacher first, then set '
                'model.companions.teacher.checkpoint=CHECKPOINT (tools/train_two_stage.py runs '
                'both)'
            )
        if self.network is None:
            self._build()
        found, wanted = (getattr(m.head, 'num_classes', None) for m in (self.network, model))
        if found != wanted:
            raise ValueError(f'the teacher has {found} classes, the student {wanted}')
        checkpoint = CheckpointLoader.load_checkpoint(self.checkpoint, map_location='cpu')
        name = f'teacher {self.checkpoint}'
        check_weights(
            self.network, checkpoint, name, missing=TRAINING_ONLY, unexpected=['companions.*']
        )
        _check_preprocessing(name, checkpoint, model.data_preprocessor)
        meta = checkpoint.get('meta')
        self.dataset_meta = meta.get('dataset_meta') if isinstance(meta, dict) else None
        self.loaded = True

    def observe(self, images: Sequence[torch.Tensor], model: nn.Module) -> CompanionOutput:
        """Compute features and logits of the views."""
        self.prepare(model)
        if not self.loaded:
            raise ValueError(
                'FrozenTeacher has no weights: none were resumed, and checkpoint is None'
            )
        device = images[0].device
        if next(self.network.parameters()).device != device:
            self.network.to(device)
        with torch.no_grad():
            feats = self.network.extract_feat(torch.cat([images[view] for view in self.views]))
            logits = self.network.head(feats).chunk(len(self.views))
            feats = own_features(feats, self.network.head)
            features = zip(*(x.chunk(len(self.views)) for x in feats))
        return CompanionOutput(dict(zip(self.views, features)), dict(zip(self.views, logits)))

    def _build(self) -> None:
        self.network = build_part(self.spec).requires_grad_(False).eval()

    def _note_weights(self, state_dict, prefix, *args) -> None:
        self.loaded = self.loaded or any(key.startswith(prefix) for key in state_dict)


def _check_preprocessing(name: str, checkpoint: dict, preprocessor: nn.Module) -> None:
    """Refuse a teacher that saw its images in another way than the student does."""
    found = trained_preprocessor(checkpoint)
    if not found:
        print_log(
            f"{name} does not tell its data_preprocessor: it must be the same as the student's",
            logger='current',
            level=logging.WARNING,
        )
        return
    own, his = bool(getattr(preprocessor, 'to_rgb', False)), bool(found.get('to_rgb', False))
    if own != his:
        raise CheckpointError(
            f'{name} was trained with data_preprocessor.to_rgb={his}, the student has {own}: red '
            'and blue would change places, so train one of them anew'
        )
    for key in ('mean', 'std'):
        own, his = getattr(preprocessor, key, None), found.get(key)
        own = None if own is None else own.flatten().tolist()
        # A hundredth of a grey level: the preprocessor holds float32.
        close = own == his or (own and his and len(own) == len(his) and all(
            abs(a - b) < 0.01 for a, b in zip(own, his)))  # fmt: skip
        if not close:
            own = own and [round(value, 3) for value in own]
            raise CheckpointError(
                f'{name} was trained with data_preprocessor.{key}={his}, the student has {own}: '
                'both see the same images, so train one of them anew'
            )


def trained_preprocessor(checkpoint: dict) -> dict:
    """How a checkpoint's training normalised its images; empty if the checkpoint does not tell.

    The text of the config is read, nothing of it is run.

    Example:
        >>> text = 'data_preprocessor = dict(mean=[0, 0, 0], num_classes=3, std=[1, 1, 1])'
        >>> trained_preprocessor(dict(meta=dict(cfg=text)))
        {'mean': [0, 0, 0], 'std': [1, 1, 1]}
    """
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    found = values_in_text(text, ['data_preprocessor']).get('data_preprocessor')
    found = found if isinstance(found, dict) else {}
    return {key: found[key] for key in ('mean', 'std', 'to_rgb') if key in found}
