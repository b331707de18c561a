"""A classifier whose backbone stays as it was loaded; a tuner and the head are trained."""

import copy
import hashlib

import torch
import torch.nn as nn
from mmengine.logging import print_log
from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.registry import MODELS

from mmlt.checkpoint import CheckpointError
from mmlt.models.build import build_part, pretrained_file
from mmlt.models.tuners import Tuner

BACKBONE_HASH = 'backbone_sha256'  # an entry of checkpoints of trained parts
SAVED = ('all', 'trained')


@MODELS.register_module()
class TunedClassifier(ImageClassifier):
    """mmpretrain's ``ImageClassifier`` on a frozen vision transformer with a tuner.

    What the tuner does not train of the backbone has no gradient and stays bit for bit as it was
    loaded; the backbone is in evaluation mode. Neck and head are trained. Weights of the backbone
    keep their names, so whatever loads into the backbone of an ``ImageClassifier`` loads here, by
    ``backbone.init_cfg``. A training on a backbone that nothing has loaded is refused.

    Args:
        tuner (dict): ``dict(type='AdaptFormer')``, ``LoRA``, ``BitFit``, ``SSF``,
            ``VisualPrompts`` or ``LinearProbe``.
        saved (str): What checkpoints hold: 'all', or 'trained', without the frozen part of the
            backbone but with its SHA-256. They load on that backbone alone; where the model has
            another yet, it is loaded from ``backbone.init_cfg``. A copy that is made before the
            backbone is loaded, as an ``EMAHook`` makes it, shares it. Defaults to 'all'.
        **kwargs: ``backbone``, ``neck``, ``head``, ... of ``ImageClassifier``.

    Raises:
        TypeError: A tuner or a backbone of another kind.
        ValueError: Unknown ``saved``; a tuner that the backbone never calls; nothing loaded.
        CheckpointError: A checkpoint of a tuner that belongs to another backbone.

    Source:
        LIFT (Shi et al., ICML 2024) with AdaptFormer; DBM, supplement, table 6.

    Example:
        >>> vit = dict(type='VisionTransformer', arch='deit-tiny', img_size=32)
        >>> head = dict(type='DBMHead', num_classes=3, in_channels=192, class_counts=[5, 2, 1])
        >>> model = TunedClassifier(tuner=dict(type='AdaptFormer'), backbone=vit, head=head)
        >>> sorted({name.split('.')[0] for name, p in model.named_parameters() if p.requires_grad})
        ['head', 'tuner']
    """

    def __init__(self, tuner: dict, saved: str = 'all', **kwargs):
        super().__init__(**kwargs)
        if saved not in SAVED:
            raise ValueError(f'saved must be one of {SAVED}, got {saved!r}')
        self.saved = saved
        self.tuner = build_part(tuner, num_classes=getattr(self.head, 'num_classes', None))
        if not isinstance(self.tuner, Tuner):
            raise TypeError(f'tuner must be a Tuner, got {type(self.tuner).__name__}')
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(self.tuner.trains(name))
        self.tuner.attach(self.backbone)
        self.loaded = False  # whether anything was loaded into the backbone
        self._known_hash = []  # of the backbone, once known; models that share one share this list
        self.register_state_dict_post_hook(_leave_out_frozen)

    def __deepcopy__(self, memo):
        # An EMAHook copies the model before weights are loaded, and then copies what state dicts
        # hold: what they leave out would stay in the copy as it was drawn.
        if self.saved == 'trained' and not self.loaded:
            memo[id(self._known_hash)] = self._known_hash
            for name, value in self.backbone.state_dict(keep_vars=True).items():
                if not self.tuner.trains(name):
                    # The same numbers in a tensor of its own: the copy can be moved without it.
                    shared = value.detach()
                    parameter = isinstance(value, nn.Parameter)
                    memo[id(value)] = nn.Parameter(shared, False) if parameter else shared
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied.__setstate__(copy.deepcopy(vars(self), memo))
        return copied

    def init_weights(self) -> None:
        """Load the backbone and say what is trained."""
        super().init_weights()
        self._known_hash.clear()
        self.loaded = self.loaded or pretrained_file(self.backbone) is not None
        print_log(self.describe(), logger='current')

    def describe(self) -> str:
        """Say how many parameters are trained, in one line."""

        def number(part: nn.Module, trained: bool) -> int:
            return sum(p.numel() for p in part.parameters() if p.requires_grad or not trained)

        base, biases = number(self.backbone, False), number(self.backbone, True)
        trained = number(self.tuner, True) + biases
        return (
            f'{type(self.tuner).__name__} trains {trained:,} parameters ({trained / base:.2%} of '
            f"the backbone's {base:,}, of which {base - biases:,} are frozen), the head "
            f'{number(self.head, True):,}'
        )

    def train(self, mode: bool = True) -> 'TunedClassifier':
        """Set the mode; the backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        if mode and self.loaded and self.saved == 'trained':
            # Now: an EMA averages what is shared with itself, and of a -0.0 that makes a 0.0.
            self.backbone_sha256()
        return self

    def extract_feat(self, inputs: torch.Tensor, stage: str = 'neck'):
        """Compute features as ``ImageClassifier`` does, and see that the tuner was called."""
        features = super().extract_feat(inputs, stage)
        self.tuner.check_heard()
        return features

    def loss(self, inputs: torch.Tensor, data_samples) -> dict:
        """Compute the head's losses."""
        if not self.loaded:
            raise ValueError(
                'TunedClassifier freezes a backbone that nothing has trained: name its weights, '
                "model.backbone.init_cfg=dict(type='Pretrained', checkpoint=FILE, "
                "prefix='backbone.')"
            )
        return super().loss(inputs, data_samples)

    def fold_tuner(self) -> dict:
        """Write the tuner into the backbone and let it go.

        Returns:
            dict: the weights of the ``ImageClassifier`` with the same backbone and head, which
            computes what this model computed.

        Raises:
            ValueError: A tuner that cannot be folded (AdaptFormer, VisualPrompts).
        """
        for parameter in self.backbone.parameters():
            parameter.data = parameter.data.clone()  # a copy of the model may share it
        self._known_hash = []
        self.tuner.fold(self.backbone)
        self.tuner.let_go()
        self.tuner = _Folded()
        self.saved = 'all'
        return {k: v for k, v in self.state_dict().items() if not k.startswith('tuner.')}

    # What checkpoints hold

    def frozen(self) -> dict[str, torch.Tensor]:
        """Name -> what is frozen of the backbone, buffers included."""
        # Not by requires_grad: an EMA's copy has none anywhere.
        state = self.backbone.state_dict()
        return {name: value for name, value in state.items() if not self.tuner.trains(name)}

    def backbone_sha256(self) -> str:
        """SHA-256 of what is frozen: names, shapes, dtypes and bytes, in the order of the names."""
        if self._known_hash:
            return self._known_hash[0]
        digest = hashlib.sha256()
        for name, value in sorted(self.frozen().items()):
            digest.update(f'{name} {value.dtype} {tuple(value.shape)}\n'.encode())
            flat = value.detach().cpu().contiguous().flatten()
            digest.update(flat.view(torch.uint8).numpy().tobytes())
        if self.loaded:  # else it will be written over, perhaps by a model that shares it
            self._known_hash.append(digest.hexdigest())
        return digest.hexdigest()

    def _apply(self, fn, recurse: bool = True):
        self._known_hash = []  # another dtype, perhaps, and shared no more
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        place = f'{prefix}backbone.'
        wanted = state_dict.pop(prefix + BACKBONE_HASH, None)
        if wanted is not None:
            self._check_backbone(bytes(wanted.tolist()).hex())
            state_dict |= {place + name: value for name, value in self.frozen().items()}
        elif any(key.startswith(place) for key in state_dict):
            self._known_hash.clear()
        self.loaded = self.loaded or any(key.startswith(place) for key in state_dict)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check_backbone(self, wanted: str) -> None:
        """Have the backbone that a checkpoint of trained parts needs, or refuse it."""
        if self.backbone_sha256() == wanted:
            return
        tried = 'model.backbone.init_cfg names no checkpoint'
        file = pretrained_file(self.backbone)
        if file is not None:
            # A test does not initialise weights.
            self.backbone._is_init = False
            self.backbone.init_weights()
            self._known_hash.clear()
            if self.backbone_sha256() == wanted:
                self.loaded = True
                return
            tried = f'that of model.backbone.init_cfg, {file}, is {self.backbone_sha256()[:16]}'
        raise CheckpointError(
            'the checkpoint holds a tuner and a head alone; they were trained on the backbone with '
            f'SHA-256 {wanted[:16]}..., but {tried}. Set '
            "model.backbone.init_cfg=dict(type='Pretrained', checkpoint=FILE, prefix=...) to its "
            'weights'
        )


class _Folded(Tuner):
    """In place of a tuner that was folded into the weights."""

    def attach(self, backbone) -> None:
        pass


def _leave_out_frozen(model, state_dict, prefix, local_metadata) -> None:
    if model.saved == 'trained':
        for name in model.frozen():
            state_dict.pop(f'{prefix}backbone.{name}', None)
        digest = bytes.fromhex(model.backbone_sha256())
        state_dict[prefix + BACKBONE_HASH] = torch.tensor(list(digest), dtype=torch.uint8)
