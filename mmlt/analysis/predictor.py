"""Names and scores of single photos, by mmpretrain's inferencer."""

import copy
from itertools import chain
from pathlib import Path

import torch
from mmengine.config import Config
from mmpretrain import ImageClassificationInferencer

from mmlt.analysis.loading import open_model, use_scope
from mmlt.checkpoint import CheckpointError
from mmlt.config_file import with_pipeline
from mmlt.datasets.image_check import UNREAD, file_fault, is_photo

Faults = list[tuple[str, str]]


class Predictor:
    """A model with its weights, names and test pipeline.

    Args:
        cfg (Config): Of the training.
        checkpoint (str): Must fit, and tell the class names.
        device (str, optional): Defaults to None: the GPU if there is one.

    Raises:
        CheckpointError: A checkpoint that does not fit or tells no names.
        ValueError: A device that torch does not know, a config without a test pipeline.
    """

    def __init__(self, cfg: Config, checkpoint: str, device: str | None = None):
        use_scope(cfg)
        name = f'checkpoint {checkpoint}'
        self.model, loaded = open_model(cfg, checkpoint)
        self.classes = _names(loaded, name, self.model.head)
        try:
            self.model.to(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f'device {device!r}: {str(error).splitlines()[0]}') from error
        self.model.eval()
        loader = copy.deepcopy(cfg.get('test_dataloader') or cfg.get('val_dataloader'))
        if not loader:
            raise ValueError('the config has no test_dataloader, whose pipeline is needed')
        loader.dataset = with_pipeline(loader.dataset)
        # Sets that hold arrays load no files; what they resize may come from one.
        steps = [str(step['type']) for step in loader.dataset.pipeline]
        if not any('LoadImageFromFile' in step or 'Resize' in step for step in steps):
            raise ValueError(
                'the pipeline of the test set neither reads files nor resizes images: it needs a '
                'LoadImageFromFile or a Resize'
            )
        # The inferencer takes the pipeline from the config of the model.
        self.model._config = Config(dict(test_dataloader=loader))
        self.inferencer = ImageClassificationInferencer(self.model, classes=self.classes)

    def __call__(self, images: list[Path], topk: int = 1, batch_size: int = 32) -> tuple:
        """Predict.

        Args:
            images (list[Path]): of any size and colour mode.
            topk (int): classes of each image, 1 to the number of classes.
            batch_size (int): images at a time, >= 1.

        Returns:
            tuple: [(path, [(name, score), ...])] in the order of ``images``; [(path, reason)] of
            those that could not be read.

        Raises:
            ValueError: ``topk`` or ``batch_size`` out of range.
        """
        if not 1 <= topk <= len(self.classes):
            raise ValueError(f'topk must be 1 to {len(self.classes)}, the classes, got {topk}')
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {batch_size}')
        faults: Faults = []
        good = []
        for path in images:
            # One broken file must not end the other thousand.
            reason = file_fault(path)[0]
            if reason:
                faults.append((str(path), reason))
            else:
                good.append(str(path))
        rows = []
        if good:
            # Step by step, as the inferencer's own call draws a progress bar on stdout.
            batches = self.inferencer.preprocess(good, batch_size)
            results = chain.from_iterable(map(self.inferencer.forward, batches))
            for path, result in zip(good, results, strict=True):
                best, labels = result.pred_score.cpu().topk(topk)
                names = [self.classes[k] for k in labels.tolist()]
                rows.append((path, list(zip(names, best.tolist()))))
        return rows, faults


def find_images(places: list[Path]) -> tuple[list[Path], Faults]:
    """The images of files and folders, each once; and what is no image by its name.

    Raises:
        FileNotFoundError: a place that does not exist.
        ValueError: no image at all.
    """
    images, unread = {}, []
    for place in places:
        place = Path(place)
        if not place.exists():
            raise FileNotFoundError(f'image {place} does not exist')
        if place.is_dir():
            files = sorted(path for path in place.rglob('*') if path.is_file())
            images |= dict.fromkeys(path for path in files if is_photo(path.name))
            unread += [(str(p), 'a kind of image that is not read: convert it')
                       for p in files if p.name.lower().endswith(UNREAD)]  # fmt: skip
        else:
            images[place] = None
    if not images:
        raise ValueError(f'no images in {", ".join(map(str, places))}')
    return list(images), unread


def _names(checkpoint: dict, name: str, head) -> list[str]:
    meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    names = meta.get('classes')
    number = getattr(head, 'num_classes', None)
    if not isinstance(names, list | tuple) or not names:
        raise CheckpointError(f'{name} tells no class names (meta.dataset_meta.classes)')
    if number not in (None, len(names)):
        raise CheckpointError(f'{name} tells {len(names)} class names for {number} classes')
    return [str(each) for each in names]
