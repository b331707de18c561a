"""A classifier as an ONNX file: normalisation, network and post-hoc adjustment in one graph."""

import io
import json
import logging
import warnings
from pathlib import Path

import torch
import torch.nn as nn

from mmlt.config_file import with_pipeline
from mmlt.files import write_whole

OPSET = 17


class CannotExportError(ValueError):
    """A model that has no ONNX form, or whose ONNX form computes something else."""


class Classifier(nn.Module):
    """Pixels to probabilities and logits, as the test computes them.

    Args:
        model (ImageClassifier): with its data preprocessor.
        preprocessing (bool): whether pixels are normalised here, or were before.

    Shape:
        (N, 3, H, W) float32, pixels in [0, 255] as they were decoded, or normalised -> scores
        (N, K), logits (N, K).
    """

    def __init__(self, model: nn.Module, preprocessing: bool = True):
        super().__init__()
        self.model = model
        self.preprocessing = preprocessing
        prepare = model.data_preprocessor
        self.normalize = preprocessing and getattr(prepare, '_enable_normalize', False)
        self.swap = preprocessing and bool(getattr(prepare, 'to_rgb', False))
        if self.normalize:
            self.register_buffer('mean', prepare.mean.clone().view(1, -1, 1, 1))
            self.register_buffer('std', prepare.std.clone().view(1, -1, 1, 1))
        self.eval()  # as a whole: the exporter restores the mode of the outermost module

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalise, classify."""
        if self.swap:
            image = image.flip(1)
        if self.normalize:
            image = (image - self.mean) / self.std
        logits = self.model(image, mode='tensor')
        return logits.softmax(dim=1), logits


def export_onnx(
    model: nn.Module,
    target,
    size: tuple[int, int],
    classes=None,
    preprocessing: bool = True,
    tolerance: float = 1e-4,
    notes: dict | None = None,
) -> dict:
    """Write a model as ONNX, and compare what onnxruntime computes with what torch does.

    The batch size is free, height and width are not. What the test pipeline does before
    (decoding, resizing, cropping) stays outside. ``head.adjustment`` is inside.

    Args:
        model (ImageClassifier): on the CPU, with its weights.
        target (str | PathLike): the file; must not be there.
        size (tuple[int, int]): height and width of an image in pixels, > 0.
        classes (Sequence[str], optional): names that are written into the file.
        preprocessing (bool): whether channel order and normalisation are in the graph. Defaults
            to True: the input is what a decoder gives, 0 to 255.
        tolerance (float): the largest difference of a score, > 0. Defaults to 1e-4.
        notes (dict, optional): more that is written into the file, text to text.

    Returns:
        dict: ``scores`` and ``logits``, the largest absolute difference; ``input``, in words.

    Raises:
        CannotExportError: an operation without ONNX form, or another result than torch's.
        ValueError: a size that the data preprocessor would pad.
        FileExistsError: the target is there.
        ImportError: onnx or onnxruntime is missing.
    """
    target = Path(target)
    if target.exists():
        raise FileExistsError(f'{target} exists and is left as it is')
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ImportError(f'{error.name} is missing: pip install onnx onnxruntime') from error
    divisor = getattr(model.data_preprocessor, 'pad_size_divisor', 1)
    if preprocessing and any(edge % divisor for edge in size):
        raise ValueError(
            f'size must be a multiple of {divisor}, to which the test pads, got {size}'
        )
    classifier = Classifier(model, preprocessing)
    generator = torch.Generator().manual_seed(0)
    image = 255 * torch.rand(2, 3, *size, generator=generator)
    if not preprocessing:
        image = (image - 127.5) / 64
    content = _export(classifier, image)
    graph = onnx.load_model_from_string(content)
    told = dict(input=_input(classifier, size, preprocessing), **(notes or {}))
    if classes:
        told['classes'] = json.dumps(list(map(str, classes)))
    onnx.helper.set_model_props(graph, {f'mmlt.{key}': value for key, value in told.items()})
    content = graph.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])
    found = _compare(classifier, session, image)
    if not found['scores'] <= tolerance:
        raise CannotExportError(
            f'onnxruntime gives scores that differ from torch by {found["scores"]:.2g}, more than '
            f'{tolerance:g}: nothing is written'
        )
    write_whole(target, content)
    return found | dict(input=told['input'])


def _export(classifier: nn.Module, image: torch.Tensor) -> bytes:
    file, names = io.BytesIO(), dict(input_names=['image'], output_names=['scores', 'logits'])
    axes = dict.fromkeys(('image', 'scores', 'logits'), {0: 'batch'})
    verbose = logging.getLogger('torch.onnx')
    level, verbose.level = verbose.level, logging.ERROR
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.onnx.export(
                classifier, (image,), file, dynamo=False, opset_version=OPSET, dynamic_axes=axes,
                **names,
            )  # fmt: skip
    except Exception as error:  # torch has no common class for what it cannot export
        reason = str(error).strip().splitlines()
        raise CannotExportError(
            f'{type(classifier.model.backbone).__name__} has no ONNX form: '
            f'{type(error).__name__}: {reason[0] if reason else ""}'
        ) from error
    finally:
        verbose.level = level
    return file.getvalue()


@torch.no_grad()
def _compare(classifier, session, image: torch.Tensor) -> dict:
    """The largest differences, over batches of 1, 2 and 3: the batch size must be free."""
    found = dict(scores=0.0, logits=0.0)
    for batch in (image[:1], image, torch.cat([image, image[:1].flip(3)])):
        got = session.run(['scores', 'logits'], {'image': batch.numpy()})
        for name, ours, theirs in zip(found, _as_tested(classifier, batch), got):
            if tuple(ours.shape) != theirs.shape:
                raise CannotExportError(
                    f'of {len(batch)} images onnxruntime gives {name} {theirs.shape}: the '
                    'batch size is not free'
                )
            difference = (ours - torch.from_numpy(theirs)).abs().max().item()
            found[name] = max(found[name], difference)
    return found


def _as_tested(classifier: Classifier, batch: torch.Tensor) -> tuple:
    """What the test computes, by its own data preprocessor."""
    model = classifier.model
    if classifier.preprocessing:
        batch = model.data_preprocessor(dict(inputs=batch), False)['inputs']
    logits = model(batch, mode='tensor')
    return logits.softmax(dim=1), logits


def _input(classifier: Classifier, size, preprocessing: bool) -> str:
    shape = f'float32 (N, 3, {size[0]}, {size[1]})'
    if not preprocessing:
        return f'{shape}, normalised and in the order of channels of the data preprocessor'
    order = 'BGR' if classifier.swap else 'the order of channels in which the pipeline decodes'
    return f'{shape}, pixels 0 to 255 in {order}; normalised inside'


def image_size(cfg) -> tuple[int, int]:
    """Height and width that the test pipeline of a config gives.

    Raises:
        ValueError: the pipeline does not tell: no crop, no resizing to a fixed size.

    Example:
        >>> from mmengine.config import ConfigDict
        >>> pipeline = [dict(type='ResizeEdge', scale=256), dict(type='CenterCrop', crop_size=224)]
        >>> image_size(ConfigDict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
        (224, 224)
    """
    dataset = (cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}).get('dataset') or {}
    for step in reversed(with_pipeline(dataset).get('pipeline') or ()):
        size = step.get('crop_size')
        if size is None and str(step.get('type')).endswith('Resize'):
            size = step.get('scale')
            size = size if isinstance(size, int | None) else tuple(size)[::-1]  # (width, height)
        if size is not None:
            return (size, size) if isinstance(size, int) else tuple(size)
    if cfg.model.backbone.get('img_size'):
        size = cfg.model.backbone.img_size
        return (size, size) if isinstance(size, int) else tuple(size)
    raise ValueError('the test pipeline does not tell the size of an image: give --size')
