"""A report of one checkpoint: a page, its numbers, its predictions and its pictures."""

import copy
import io
from pathlib import Path

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.visualization import LocalVisBackend
from mmpretrain.registry import VISUALIZERS
from PIL import Image

from mmlt.analysis.confusions import confusions, draw_confusions, worst_classes
from mmlt.analysis.files import number, write_arrays, write_json, write_per_class
from mmlt.analysis.loading import use_scope
from mmlt.analysis.measures import Classifier, classifier_of, covariance_of, measure, summary
from mmlt.analysis.model_outputs import (
    Outputs,
    build_loader,
    load_model,
    run,
    shot_metric,
    shot_settings,
)
from mmlt.analysis.model_page import draw, page
from mmlt.datasets import describe_images
from mmlt.datasets.wrapper import innermost
from mmlt.evaluation import shot_intervals
from mmlt.files import write_whole
from mmlt.functional import separability_matrix, shot_groups
from mmlt.visualization import Table, embed_tsne, save_figure, sortable_page
from mmlt.visualization.class_matrices import MOST_CELLS

NO_CLASSIFIER = (
    'The head has no classifier with one vector a class (head.classifier or head.fc): separability '
    'of the classifier and neural collapse are left out, angles are to the class means.'
)
FEW_SAMPLES = (
    'Some classes have fewer images here than features have dimensions: the ridge decides their '
    "Fisher separability, so compare it only with that of as many images, width and ridge (mmlt's "
    'default).'
)


def analyze(
    cfg: Config,
    checkpoint: str,
    out: str | Path,
    *,
    split: str = 'test',
    name: str | None = None,
    max_per_class: int | None = 50,
    seed: int = 0,
) -> Path:
    """Measure a checkpoint; write index.html, report.json, per_class.{csv,html} and two .npz files.

    Goes over the images of the split once, without augmentation, and keeps the features in memory,
    N x D float32. Every picture is written as PNG and SVG, and given to the visualisation backends
    of the config other than LocalVisBackend.

    Args:
        cfg: The config, as ``Config.fromfile`` reads it.
        checkpoint: The file of weights.
        out: The folder of the report.
        split: ``'test'``, ``'train'`` or ``'val'``: whose images.
        name: The model's name in tables. Defaults to None: the config's.
        max_per_class: Samples of a class in t-SNE; None leaves t-SNE out, which is the slow part.
        seed: Of t-SNE.

    Returns:
        Path: The page.

    Raises:
        ValueError: A config without class counts, a model whose head has no ``pre_logits``, a
            checkpoint of another config.
    """
    use_scope(cfg)
    shots = shot_settings(cfg)
    loader = build_loader(cfg, split)
    model = load_model(cfg, checkpoint, loader.dataset)
    outputs = run(model, loader, shots)
    kind = type(innermost(loader.dataset)).__name__
    # A benchmark's name says more than the class that reads its files.
    benchmark = shots['class_counts'] if isinstance(shots['class_counts'], str) else kind
    shots['class_counts'] = counts = shot_metric(shots).class_counts
    names = loader.dataset.metainfo.get('classes') or range(len(counts))
    names = [str(each) for each in names]
    classifier = classifier_of(model.head, outputs.features.shape[1])
    distances, per_class, collapse = measure(outputs, classifier, len(counts))
    embedding = tsne = None
    if max_per_class is not None:
        embedding = embed_tsne(
            outputs.features, outputs.labels, counts, max_per_class=max_per_class, seed=seed
        )
        tsne = dict(seed=seed, max_per_class=max_per_class, samples=len(embedding.labels))
    name = name or Path(cfg.filename).stem
    wrong = confusions(outputs.labels, outputs.predictions, outputs.confidence)
    report = dict(
        name=name, config=str(cfg.filename), checkpoint=str(checkpoint), split=split,
        dataset=dict(
            name=benchmark, type=kind, images=len(outputs.labels),
            source=describe_images(cfg[f'{split}_dataloader'].dataset),
        ),
        **shots,
        accuracy=outputs.accuracy,
        accuracy_intervals=shot_intervals(
            outputs.predictions, outputs.labels, counts, shots['many'], shots['few']
        ),
        worst_classes=describe_worst(outputs, shots, names),
        confusions=[
            dict(label=names[pair.label], prediction=names[pair.prediction], images=pair.number,
                 percent=100 * pair.part) for pair in wrong
        ],
        calibration=outputs.calibration,
        geometry={measure: summary(values, shots) for measure, values in per_class.items()},
        neural_collapse=collapse,
        fisher_covariance=covariance_of(outputs.features.shape[1], len(counts)),
        tsne=tsne,
        notes=notes_on(outputs, classifier),
    )  # fmt: skip
    title = f'{name}: {Path(cfg.filename).name}, {Path(checkpoint).name}, {split} split'
    trained = f'{name}: {Path(cfg.filename).name}, training set'
    figures = draw(
        outputs, per_class, distances, classifier, embedding, shots, names, title, trained
    )
    sheet = draw_confusions(loader.dataset, wrong, outputs.confidence.numpy(), names, title)
    figures |= {} if sheet is None else dict(confusions=sheet)
    write(Path(out), report, outputs, per_class, names)
    write_geometry(Path(out), distances, classifier, embedding)
    pngs = {key: save_figure(fig, Path(out) / key)[0].read_bytes() for key, fig in figures.items()}
    index = Path(out) / 'index.html'
    write_whole(index, page(title, report, pngs))
    give_to_backends(cfg, Path(out), pngs)
    return index


def write(out: Path, report: dict, outputs: Outputs, per_class: dict, names) -> None:
    """Write the numbers of a report: what the page says, of each class, of each image."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / 'report.json', report)
    counts = report['class_counts']
    groups = shot_groups(counts, report['many'], report['few'])
    tested = outputs.labels.bincount(minlength=len(counts)).tolist()
    facts = [
        [k, names[k], counts[k], next(g for g, members in groups.items() if members[k]), tested[k]]
        for k in range(len(counts))
    ]
    columns = {'accuracy': outputs.per_class, **per_class}
    write_per_class(out / 'per_class.csv', facts, columns)
    rows = [
        [names[k], *(str(fact[i]) for i in (0, 2, 3, 4)), *(number(v[k]) for v in columns.values())]
        for k, fact in enumerate(facts)
    ]
    heads = ['class', 'label', 'training images', 'group', 'test images', *columns]
    caption = 'Click on a heading to sort by it, once more to turn the order round.'
    title = f'{report["name"]}: every class, {report["split"]} split'
    page = sortable_page(title, Table(heads, rows, caption))
    write_whole(out / 'per_class.html', page)
    write_arrays(
        out / 'predictions.npz',
        labels=outputs.labels,
        predictions=outputs.predictions,
        confidence=outputs.confidence,
    )


def describe_worst(outputs: Outputs, shots: dict, names) -> list[dict]:
    """The ten worst classes, and what each is mostly taken for."""
    counts = shots['class_counts']
    groups = shot_groups(counts, shots['many'], shots['few'])
    tested = outputs.labels.bincount(minlength=len(counts)).tolist()
    rows = []
    for k in worst_classes(outputs.per_class, tested):
        taken = outputs.predictions[(outputs.labels == k) & (outputs.predictions != k)]
        rows.append(
            dict(
                name=names[k], train_images=counts[k], test_images=tested[k],
                shot_group=next(g for g, members in groups.items() if members[k]),
                accuracy=outputs.per_class[k],
                taken_for=names[int(taken.bincount().argmax())] if len(taken) else None,
            )
        )  # fmt: skip
    return rows


def write_geometry(out: Path, distances, classifier: Classifier | None, embedding) -> None:
    """Write what the pictures of several models are made of: angles, t-SNE, class against class."""
    arrays = dict(angular_distances=distances.numpy().astype(np.float32))
    if embedding is not None:
        arrays |= dict(tsne_points=embedding.points, tsne_labels=embedding.labels)
    if classifier and len(classifier.vectors) <= MOST_CELLS:
        matrix = separability_matrix(classifier.vectors)
        arrays['separability_matrix'] = matrix.numpy().astype(np.float32)
    write_arrays(out / 'geometry.npz', **arrays)


def notes_on(outputs: Outputs, classifier: Classifier | None) -> list[str]:
    """What a reader of the numbers has to know."""
    tested = outputs.labels.bincount()
    few = (tested[tested > 0] <= outputs.features.shape[1]).any()
    return [NO_CLASSIFIER] * (classifier is None) + [FEW_SAMPLES] * bool(few)


def give_to_backends(cfg: Config, out: Path, pngs: dict[str, bytes]) -> None:
    """Hand the pictures to TensorBoard, WandB or what else the config has."""
    settings = copy.deepcopy(cfg.get('visualizer') or ConfigDict())
    backends = settings.get('vis_backends') or []
    local = ('LocalVisBackend', LocalVisBackend)
    backends = [backend for backend in backends if backend['type'] not in local]
    if not backends:
        return  # the folder has the pictures already
    # One of another name is another one: that of a folder is not given the next one's pictures.
    settings.update(vis_backends=backends, save_dir=str(out), name=str(out.resolve()))
    visualizer = VISUALIZERS.build(settings)
    for name, png in pngs.items():
        visualizer.add_image(name, np.asarray(Image.open(io.BytesIO(png)).convert('RGB')))
    visualizer.close()
