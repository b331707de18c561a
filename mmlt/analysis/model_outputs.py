"""One pass over the images of a split: what the model makes of each of them."""

import copy
from typing import NamedTuple

import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress

from mmlt.analysis.loading import open_model
from mmlt.config_file import with_pipeline
from mmlt.engine.hooks import ClassNamesCheckHook
from mmlt.evaluation import CalibrationError, ShotAccuracy

ACCURACIES = ('many', 'medium', 'few', 'all', 'macro', 'worst', 'harmonic')


class Outputs(NamedTuple):
    """What the pass over the images leaves."""

    features: torch.Tensor  # (N, D) float32
    labels: torch.Tensor  # (N,) int64
    predictions: torch.Tensor  # (N,) int64
    confidence: torch.Tensor  # (N,) float32
    accuracy: dict
    per_class: list
    calibration: dict
    bins: dict


def load_model(cfg: Config, checkpoint: str, dataset=None):
    """The model with the weights of the checkpoint, on the GPU if there is one.

    Strict as a test is; the names in the checkpoint must be those of the dataset, if one is given.
    """
    model, loaded = open_model(cfg, checkpoint)
    if not hasattr(getattr(model, 'head', None), 'pre_logits'):
        raise ValueError(f'the model must have a head with pre_logits, got {type(model).__name__}')
    if dataset is not None:
        ClassNamesCheckHook.compare_checkpoint(loaded, dataset, f'checkpoint {checkpoint}')
    return model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()


def build_loader(cfg: Config, split: str):
    """The loader of a split, in the order of the dataset and without augmentation."""
    loader = copy.deepcopy(cfg[f'{split}_dataloader'])
    if split == 'train':
        dataset = loader.dataset
        loader = copy.deepcopy(cfg.get('test_dataloader') or cfg.val_dataloader)
        pipeline = with_pipeline(loader.dataset).pipeline
        while 'MixPartner' in str(dataset['type']):
            dataset = dataset.dataset  # pairs of images are for training only
        loader.dataset = dataset
        with_pipeline(dataset).pipeline = pipeline
    loader.sampler = ConfigDict(type='DefaultSampler', shuffle=False)
    loader.update(persistent_workers=False, drop_last=False)
    loader.setdefault('collate_fn', ConfigDict(type='default_collate'))
    loader.pop('batch_sampler', None)
    return Runner.build_dataloader(loader, seed=0)


@torch.no_grad()
def run(model, loader, shots: dict) -> Outputs:
    """Go over the images once."""
    accuracy = shot_metric(shots)
    calibration = CalibrationError(**shots)
    size = len(loader.dataset)
    labels, predictions = torch.empty(2, size, dtype=torch.int64)
    confidence, features, start = torch.empty(size), None, 0
    for batch in track_iter_progress((loader, len(loader))):
        data = model.data_preprocessor(batch, training=False)
        feats = model.extract_feat(data['inputs'])
        rows = model.head.pre_logits(feats).float().cpu()
        samples = [s.to_dict() for s in model.head.predict(feats, data['data_samples'])]
        if features is None:
            if rows.ndim != 2:
                raise ValueError(f'features must be (N, D), pre_logits gives {tuple(rows.shape)}')
            features = torch.empty(size, rows.shape[1])
        # As the metric has it: the largest score, which is not the label's after averaging.
        scores = torch.stack([sample['pred_score'] for sample in samples]).float().cpu()
        part = slice(start, start + len(rows))
        features[part] = rows
        labels[part] = torch.cat([sample['gt_label'] for sample in samples]).cpu()
        confidence[part], predictions[part] = scores.max(dim=1)
        for metric in (accuracy, calibration):
            metric.process(None, samples)
        start += len(rows)
    results = [metric.evaluate(size) for metric in (accuracy, calibration)]
    return Outputs(
        features, labels, predictions, confidence,
        {name: results[0][f'shot/{name}'] for name in ACCURACIES}, accuracy.per_class,
        {name.split('/')[1]: value for name, value in results[1].items()}, calibration.bins['all'],
    )  # fmt: skip


def shot_settings(cfg: Config) -> dict:
    """Class counts and thresholds of the groups: those of the config's ShotAccuracy."""
    evaluator = cfg.get('test_evaluator') or []
    for metric in [evaluator] if isinstance(evaluator, dict) else evaluator:
        if 'ShotAccuracy' in str(metric['type']):
            return {key: metric[key] for key in ('class_counts', 'many', 'few') if key in metric}
    if 'class_counts' not in cfg:
        raise ValueError('the config needs class_counts, or a ShotAccuracy in test_evaluator')
    return dict(class_counts=cfg.class_counts)


def shot_metric(shots: dict) -> ShotAccuracy:
    """The metric; fills in the default thresholds."""
    metric = ShotAccuracy(**shots)
    shots.update(many=metric.many, few=metric.few)
    return metric
