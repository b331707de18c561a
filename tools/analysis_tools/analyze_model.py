"""Write a report of a checkpoint: accuracy, calibration and geometry by shot group, and pictures.

    python tools/analysis_tools/analyze_model.py CONFIG CHECKPOINT --out DIR [--split test]

Goes over the images once and writes into DIR: index.html, one page with everything in it;
report.json; per_class.csv; predictions.npz; each picture as PNG and SVG. compare_models.py lays
such folders side by side. The pictures also go to the visualisation backends of the config other
than LocalVisBackend, such as TensorboardVisBackend.

The features are kept in memory, N x D float32: 1 GB for 120,000 images of width 2048. Training
images (--split train) go through the pipeline of the test, without augmentation. "test_images" are
then those of the split.
"""

import argparse
import copy
import csv
import io
import json
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmengine.utils import track_iter_progress
from mmpretrain.registry import MODELS, VISUALIZERS
from PIL import Image

import mmlt  # noqa: F401  (registers everything)
from mmlt.evaluation import CalibrationError, ShotAccuracy
from mmlt.functional import (
    GeometryStatistics,
    angular_distance,
    classifier_separability,
    separability_matrix,
    shot_groups,
)
from mmlt.visualization import (
    Picture,
    Table,
    draw_angular_distances,
    draw_class_accuracy,
    draw_class_counts,
    draw_class_curves,
    draw_confusion_matrix,
    draw_embedding,
    draw_reliability,
    draw_separability_matrix,
    embed_tsne,
    html_page,
    save_figure,
)

ACCURACIES = ('many', 'medium', 'few', 'all', 'macro', 'worst', 'harmonic')
GROUPS = ('many', 'medium', 'few')
NO_CLASSIFIER = (
    'The head has no classifier with one vector a class (head.classifier or head.fc): separability '
    'of the classifier and neural collapse are left out, angles are to the class means.'
)
FEW_SAMPLES = (
    'Some classes have fewer images here than features have dimensions: the ridge decides their '
    "Fisher separability, so compare it only with that of as many images, width and ridge (mmlt's "
    'default).'
)
CAPTIONS = {
    'class_counts': 'Training images of each class, from the most frequent to the rarest.',
    'per_class_accuracy': 'Accuracy of each class, its moving average and the mean of each group.',
    'confusion_matrix': 'Which part of a true class (row) is taken for which class (column).',
    'reliability': 'Accuracy against confidence: below the dashed line the model is too sure. '
    'Guo et al. 2017, fig. 1.',
    'compactness': 'How alike the features of a class are: 100 is one direction. BCE3S, eq. 14, '
    'figs. 2 and 7, upper row.',
    'separability': "How far the features of a class stand from the other classes' means. Minus "
    'the mean of their own class (BCE3S, eq. 15, figs. 2 and 7) the values are near 50 by '
    "construction; minus the mean of the class means (this library's reading) they differ.",
    'classifier_separability': 'How far the vector of a class stands from the others, 50 K / '
    '(K - 1) at best for all alike. BCE3S, eq. 13, fig. 2, lower row.',
    'separability_matrix': 'How far two classifier vectors stand apart, the brighter the farther. '
    'BCE3S, eq. 36, fig. 8.',
    'angular_distances': 'Angle between the features and the centre of their class; the right half '
    'of a violin has the samples classified wrongly. DBM, fig. 4, where the classifier decides by '
    'this angle; one with a bias or with rows of different norms does not.',
    'tsne': 'Features of some samples in the plane; sizes of clusters and distances between far '
    'ones mean little. As BCE3S, figs. 3 and 9.',
}


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


def main(argv=None) -> None:
    """Read the command line, measure, write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the report')
    parser.add_argument('--split', choices=['test', 'train', 'val'], default='test')
    parser.add_argument('--name', help="the model's name in tables (default: the config's)")
    parser.add_argument(
        '--max-per-class', type=int, default=50, help='samples of a class in t-SNE (default: 50)'
    )
    parser.add_argument('--seed', type=int, default=0, help='of t-SNE (default: 0)')
    parser.add_argument('--no-tsne', action='store_true', help='leave t-SNE out, the slow part')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, help='settings to override: key=value'
    )
    args = parser.parse_args(argv)
    for name in ('config', 'checkpoint'):
        path = getattr(args, name)
        if not Path(path).is_file():
            parser.error(f'{name.upper()} {path} does not exist')
    if args.max_per_class < 1:
        parser.error(f'--max-per-class must be at least 1, got {args.max_per_class}')
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    if not cfg.get(f'{args.split}_dataloader'):
        parser.error(f'{args.config} has no {args.split}_dataloader')
    analyze(cfg, args)


def analyze(cfg: Config, args: argparse.Namespace) -> None:
    """Measure a checkpoint and write the files of the report."""
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    shots = shot_settings(cfg)
    loader = build_loader(cfg, args.split)
    model = load_model(cfg, args.checkpoint)
    outputs = run(model, loader, shots)
    counts = shot_metric(shots).class_counts
    kind = innermost(loader.dataset)
    # A benchmark's name says more than the class that reads its files.
    benchmark = shots['class_counts'] if isinstance(shots['class_counts'], str) else kind
    shots['class_counts'] = counts
    names = loader.dataset.metainfo.get('classes') or [str(k) for k in range(len(counts))]
    classifier = classifier_of(model.head, outputs.features.shape[1])
    distances, per_class, collapse = measure(outputs, classifier, len(counts))

    embedding = None
    if not args.no_tsne:
        embedding = embed_tsne(
            outputs.features, outputs.labels, counts,
            max_per_class=args.max_per_class, seed=args.seed,
        )  # fmt: skip
    name = args.name or Path(args.config).stem
    checkpoint = Path(args.checkpoint).name
    report = dict(
        name=name, config=args.config, checkpoint=args.checkpoint, split=args.split,
        dataset=dict(name=benchmark, type=kind, images=len(outputs.labels)),
        **shots,
        accuracy=outputs.accuracy,
        calibration=outputs.calibration,
        geometry={measure: summary(values, shots) for measure, values in per_class.items()},
        neural_collapse=collapse,
        fisher_covariance=covariance_of(outputs.features.shape[1], len(counts)),
        tsne=None if embedding is None else dict(
            seed=args.seed, max_per_class=args.max_per_class, samples=len(embedding.labels)
        ),
        notes=notes_on(outputs, classifier),
    )  # fmt: skip
    title = f'{name}: {Path(args.config).name}, {checkpoint}, {args.split} split'
    figures = draw(outputs, per_class, distances, classifier, embedding, shots, names, title)
    out = Path(args.out)
    for picture, fig in figures.items():
        save_figure(fig, out / picture)
    pngs = {picture: (out / f'{picture}.png').read_bytes() for picture in figures}
    columns = {'accuracy': outputs.per_class, **per_class}
    write_per_class(out / 'per_class.csv', columns, shots, names, outputs.labels)
    np.savez_compressed(
        out / 'predictions.npz', labels=outputs.labels, predictions=outputs.predictions,
        confidence=outputs.confidence,
    )  # fmt: skip
    write_json(out / 'report.json', report)
    (out / 'index.html').write_text(page(title, report, pngs), encoding='utf-8')
    give_to_backends(cfg, out, pngs)
    print(f'{out / "index.html"}: written, and beside it the data and pictures')


def notes_on(outputs: Outputs, classifier) -> list[str]:
    """What a reader of the numbers has to know."""
    tested = outputs.labels.bincount()
    few = (tested[tested > 0] <= outputs.features.shape[1]).any()
    return [NO_CLASSIFIER] * (classifier is None) + [FEW_SAMPLES] * bool(few)


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


def build_loader(cfg: Config, split: str):
    """The loader of a split, in the order of the dataset and without augmentation."""
    loader = copy.deepcopy(cfg[f'{split}_dataloader'])
    if split == 'train':
        dataset = loader.dataset
        loader = copy.deepcopy(cfg.get('test_dataloader') or cfg.val_dataloader)
        pipeline = _with_pipeline(loader.dataset).pipeline
        while 'MixPartner' in str(dataset['type']):
            dataset = dataset.dataset  # pairs of images are for training only
        loader.dataset = dataset
        _with_pipeline(dataset).pipeline = pipeline
    loader.sampler = ConfigDict(type='DefaultSampler', shuffle=False)
    loader.update(persistent_workers=False, drop_last=False)
    loader.setdefault('collate_fn', ConfigDict(type='default_collate'))
    loader.pop('batch_sampler', None)
    return Runner.build_dataloader(loader, seed=0)


def _with_pipeline(dataset):
    while 'pipeline' not in dataset:
        dataset = dataset.dataset  # of a wrapper, such as LongTailedDataset
    return dataset


def innermost(dataset) -> str:
    """The name of a dataset's class, whatever is wrapped around it."""
    while hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    return type(dataset).__name__


def load_model(cfg: Config, checkpoint: str):
    """The model with the weights of the checkpoint, on the GPU if there is one."""
    model = cfg.model.copy()
    model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    model = MODELS.build(model)
    if not hasattr(getattr(model, 'head', None), 'pre_logits'):
        raise ValueError(f'the model must have a head with pre_logits, got {type(model).__name__}')
    # weights_only: a checkpoint cannot run code.
    loaded = load_checkpoint(model, checkpoint, map_location='cpu')
    weights = loaded.get('state_dict', loaded)
    for name, parameter in model.named_parameters():
        # Projectors and banks are for training: a published checkpoint may lack them.
        used = not name.startswith('head.') or name.startswith(('head.classifier.', 'head.fc.'))
        name = name if name in weights else f'module.{name}'
        if used and (name not in weights or weights[name].shape != parameter.shape):
            raise ValueError(
                f'CHECKPOINT {checkpoint} has no {name.removeprefix("module.")} of shape '
                f'{tuple(parameter.shape)}: is it of this config?'
            )
    return model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()


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


class Classifier(NamedTuple):
    """A linear or cosine classifier."""

    vectors: torch.Tensor  # (K, D) as trained: what BCE3S's eqs. 13 and 36 are taken of
    weight: torch.Tensor  # (K, D) as it multiplies the features, so normalised or scaled
    bias: torch.Tensor  # (K,)


@torch.no_grad()
def classifier_of(head, width: int) -> Classifier | None:
    """The head's classifier, None if it has none that takes the features as they are."""
    layer = getattr(head, 'classifier', None) or getattr(head, 'fc', None)
    vectors = getattr(layer, 'weight', None)
    if vectors is None or vectors.ndim != 2 or vectors.shape[1] != width:
        return None
    # Its answers to the unit vectors and to nothing: so normalisation and test-time settings are
    # in it. float64, as the bias is subtracted again.
    head = copy.deepcopy(head).cpu().double()
    probe = torch.cat([torch.eye(width), torch.zeros(1, width)]).double()
    *rows, bias = head((probe,))
    weight = (torch.stack(rows) - bias).T
    return Classifier(vectors.detach().cpu(), weight, bias)


def measure(
    outputs: Outputs, classifier: Classifier | None, num_classes: int
) -> tuple[torch.Tensor, dict, dict | None]:
    """Angles (N,), the measures of each class (K,), and neural collapse."""
    features, labels = outputs.features, outputs.labels
    scatter = covariance_of(features.shape[1], num_classes)
    statistics = GeometryStatistics(num_classes, features.shape[1], scatter)
    statistics.update(features, labels)
    second = statistics.second_pass(*(classifier[1:] if classifier else ()))
    second.update(features, labels)
    distances = angular_distance(
        features, labels, classifier.vectors if classifier else statistics.mean
    )
    per_class = {
        'compactness': statistics.compactness(),
        'separability': second.separability('class'),
        'separability_global': second.separability('global'),
    }
    collapse = None
    if classifier:
        per_class['classifier_separability'] = classifier_separability(classifier.vectors)
        collapse = statistics.neural_collapse(classifier.weight) | {'nc4': second.nc4()}
        collapse = {name: value.item() for name, value in collapse.items()}
    per_class['fisher'] = statistics.fisher_separability()
    sums = torch.zeros(num_classes, dtype=torch.float64).index_add_(0, labels, distances)
    per_class['angular_distance'] = sums / labels.bincount(minlength=num_classes)
    return distances, {name: values.numpy() for name, values in per_class.items()}, collapse


def covariance_of(width: int, num_classes: int) -> str:
    """Of each class, as printed, where that is quick; else one for all classes."""
    return 'class' if width <= 256 and num_classes <= 100 else 'shared'


def summary(values: np.ndarray, shots: dict) -> dict:
    """Mean and standard deviation over classes, and the mean of each group."""

    def mean(part: np.ndarray) -> float:
        known = part[~np.isnan(part)]
        return float(known.mean()) if len(known) else math.nan

    groups = shot_groups(shots['class_counts'], shots['many'], shots['few'])
    return {
        'mean': mean(values),
        'std': math.sqrt(mean((values - mean(values)) ** 2)),
        **{group: mean(values[members.numpy()]) for group, members in groups.items()},
    }


def draw(outputs, per_class, distances, classifier, embedding, shots, names, title) -> dict:
    """All pictures, by the name of their file, in the order of the page."""
    counts, limits = shots['class_counts'], {key: shots[key] for key in ('many', 'few')}
    # ImageNet's names are lists of synonyms.
    common = dict(limits, class_names=[name.split(',')[0][:20] for name in names])
    labels, predictions = outputs.labels, outputs.predictions

    def curve(values, measure):
        return draw_class_curves(values, counts, title, measure=measure, **common)

    separability = {
        'minus the mean of the own class (as printed)': per_class['separability'],
        'minus the mean of the class means': per_class['separability_global'],
    }
    figures = {
        'class_counts': draw_class_counts(counts, title, **common),
        'per_class_accuracy': draw_class_accuracy(outputs.per_class, counts, title, **common),
        'confusion_matrix': draw_confusion_matrix(labels, predictions, counts, title, **common),
        'reliability': draw_reliability(outputs.bins, title),
        'compactness': curve(per_class['compactness'], 'feature compactness'),
        'separability': curve(separability, 'feature separability'),
    }
    if classifier:
        figures['classifier_separability'] = curve(
            per_class['classifier_separability'], 'classifier separability'
        )
        figures['separability_matrix'] = draw_separability_matrix(
            separability_matrix(classifier.vectors), counts, title, **common
        )
    figures['angular_distances'] = draw_angular_distances(
        distances, labels, counts, title, correct=labels == predictions, **limits
    )
    if embedding is not None:
        figures['tsne'] = draw_embedding(
            embedding.points, embedding.labels, counts, title, **common
        )
    return figures


def write_per_class(path: Path, columns: dict, shots: dict, names, labels) -> None:
    """Write a line a class."""
    groups = shot_groups(shots['class_counts'], shots['many'], shots['few'])
    tested = np.bincount(labels, minlength=len(names))
    with open(path, 'w', newline='', encoding='utf-8') as file:
        write = csv.writer(file).writerow
        write(['label', 'name', 'train_images', 'shot_group', 'test_images', *columns])
        for k, count in enumerate(shots['class_counts']):
            group = next(group for group, members in groups.items() if members[k])
            cells = (values[k] for values in columns.values())
            cells = ('' if math.isnan(cell) else f'{cell:.6g}' for cell in cells)
            write([k, names[k], count, group, tested[k], *cells])


def write_json(path: Path, content) -> None:
    """Write JSON that every reader takes: NaN, and what is infinite, is null."""

    def plain(part):
        if isinstance(part, dict):
            return {key: plain(value) for key, value in part.items()}
        if isinstance(part, list | tuple):
            return [plain(value) for value in part]
        return None if isinstance(part, float) and not math.isfinite(part) else part

    path.write_text(json.dumps(plain(content), indent=2, allow_nan=False) + '\n', encoding='utf-8')


def page(title: str, report: dict, pngs: dict[str, bytes]) -> str:
    """The page of the report."""

    def cells(values: dict, keys) -> list[str]:
        return [number(values[key]) for key in keys]

    accuracy = Table(
        ['', *ACCURACIES], [[report['name'], *cells(report['accuracy'], ACCURACIES)]],
        'Accuracy (%): means over the classes of a group; all: over samples; macro: over classes.',
    )  # fmt: skip
    errors = ('ece', 'ece_many', 'ece_medium', 'ece_few', 'mce')
    calibration = Table(
        ['', *errors], [[report['name'], *cells(report['calibration'], errors)]],
        'Expected (ece) and maximum (mce) calibration error (%), 15 bins. Guo et al. 2017. The '
        'error of a group says whether its classes are met with too much or too little confidence.',
    )  # fmt: skip
    labels = {
        'compactness': 'compactness (%), BCE3S eq. 14',
        'separability': 'separability (%), BCE3S eq. 15',
        'separability_global': 'separability (%), globally centred',
        'classifier_separability': 'classifier separability (%), BCE3S eq. 13',
        'fisher': f'Fisher ({report["fisher_covariance"]} covariance), DBM eq. 12',
        'angular_distance': 'angle to the class centre (degrees), DBM fig. 4',
    }
    columns = ('mean', 'std', *GROUPS)
    rows = [[labels[name], *cells(values, columns)] for name, values in report['geometry'].items()]
    caption = 'Mean and standard deviation over classes, and mean over the classes of each group.'
    geometry = [Table(['', *columns], rows, caption)]
    if report['neural_collapse']:
        names = list(report['neural_collapse'])
        rows = [[name, f'{report["neural_collapse"][name]:.4g}'] for name in names]
        caption = 'Neural collapse: distances, all 0 at full collapse. BCE3S, appendix B.'
        geometry.append(Table(['', 'value'], rows, caption))

    def pictures(*names):
        return [Picture(pngs[name], CAPTIONS[name]) for name in names if name in pngs]

    dataset = report['dataset']
    facts = [
        f'{dataset["name"]} ({dataset["type"]}), {dataset["images"]:,} images, '
        f'{len(report["class_counts"]):,} classes.'
        f' Config {report["config"]}, checkpoint {report["checkpoint"]}.',
        f'Groups: many, more than {report["many"]} training images; few, fewer than '
        f'{report["few"]}; medium, between.',
    ]
    return html_page(
        title,
        {
            '': [*facts, *report['notes']],
            'Accuracy': [accuracy, *pictures('per_class_accuracy', 'confusion_matrix')],
            'Calibration': [calibration, *pictures('reliability')],
            'Geometry': [
                *geometry,
                *pictures(
                    'compactness', 'separability', 'classifier_separability',
                    'separability_matrix', 'angular_distances', 'tsne',
                ),
            ],
            'Training set': pictures('class_counts'),
        },
    )  # fmt: skip


def number(value: float | None) -> str:
    """Two digits after the point; a dash for what is not there."""
    return '-' if value is None or math.isnan(value) else f'{value:.2f}'


def give_to_backends(cfg: Config, out: Path, pngs: dict[str, bytes]) -> None:
    """Hand the pictures to TensorBoard, WandB or what else the config has."""
    settings = copy.deepcopy(cfg.get('visualizer') or ConfigDict())
    backends = [b for b in settings.get('vis_backends') or [] if b['type'] != 'LocalVisBackend']
    if not backends:
        return  # the folder has the pictures already
    # One of another name is another one: that of a folder is not given the next one's pictures.
    settings.update(vis_backends=backends, save_dir=str(out), name=str(out.resolve()))
    visualizer = VISUALIZERS.build(settings)
    for name, png in pngs.items():
        visualizer.add_image(name, np.asarray(Image.open(io.BytesIO(png)).convert('RGB')))
    visualizer.close()


if __name__ == '__main__':
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f'error: {error}')
