"""The page of a report, and the pictures on it."""

import math

from mmlt.analysis.files import number
from mmlt.analysis.model_outputs import ACCURACIES
from mmlt.functional import separability_matrix
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
    html_page,
)

GROUPS = ('many', 'medium', 'few')
ERRORS = ('ece', 'ece_many', 'ece_medium', 'ece_few', 'mce')
CAPTIONS = {
    'class_counts': 'Training images of each class, from the most frequent to the rarest.',
    'per_class_accuracy': 'Accuracy of each class, its moving average and the mean of each group.',
    'confusions': 'Images of the most frequent confusions, the surest first: true class, predicted '
    'class, and how sure the model is.',
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


def draw(
    outputs, per_class, distances, classifier, embedding, shots, names, title, trained
) -> dict:
    """All pictures, by the name of their file, in the order of the page.

    ``title`` is of what was tested, ``trained`` of the training set.
    """
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
        'class_counts': draw_class_counts(counts, trained, **common),
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


def page(title: str, report: dict, pngs: dict[str, bytes]) -> str:
    """The page of the report."""

    def cells(values: dict, keys) -> list[str]:
        return [number(values[key]) for key in keys]

    accuracy = Table(
        ['', *ACCURACIES], [[report['name'], *cells(report['accuracy'], ACCURACIES)]],
        'Accuracy (%): means over the classes of a group; all: over samples; macro: over classes. '
        'Interval: bootstrap over the test images of each class; another training differs more.',
    )  # fmt: skip
    calibration = Table(
        ['', *ERRORS], [[report['name'], *cells(report['calibration'], ERRORS)]],
        'Expected (ece) and maximum (mce) calibration error (%), 15 bins. Guo et al. 2017. The '
        'error of a group says whether its classes are met with too much or too little confidence.',
    )  # fmt: skip
    intervals = report['accuracy_intervals']
    cells_of = (intervals.get(name, (None, None)) for name in ACCURACIES)
    cells_of = (
        '' if low is None else '-' if math.isnan(low) else f'{low:.1f} to {high:.1f}'
        for low, high in cells_of
    )  # fmt: skip
    accuracy.rows.append(['95% interval', *cells_of])
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
        f'{dataset["name"]} ({dataset["source"]}), {dataset["images"]:,} images, '
        f'{len(report["class_counts"]):,} classes.'
        f' Config {report["config"]}, checkpoint {report["checkpoint"]}.',
        f'Groups: many, more than {report["many"]} training images; few, fewer than '
        f'{report["few"]}; medium, between.',
    ]
    return html_page(
        title,
        {
            '': [*facts, *report['notes']],
            'Accuracy': [accuracy, *pictures('per_class_accuracy')],
            'Where it is wrong': [
                *wrong_tables(report),
                *pictures('confusions', 'confusion_matrix'),
                'per_class.html, beside this page, has a line a class and sorts by any column.',
            ],
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


def wrong_tables(report: dict) -> list[Table]:
    """The worst classes and the most frequent confusions, by name."""
    worst = [
        [row['name'], row['shot_group'], str(row['train_images']), str(row['test_images']),
         number(row['accuracy']), row['taken_for'] or '-']
        for row in report['worst_classes']
    ]  # fmt: skip
    tables = [
        Table(
            [
                'class',
                'group',
                'training images',
                'test images',
                'accuracy (%)',
                'mostly taken for',
            ],
            worst,
            f'The {len(worst)} classes of the lowest accuracy.',
        )
    ]
    if report['confusions']:
        rows = [
            [row['label'], row['prediction'], str(row['images']), number(row['percent'])]
            for row in report['confusions']
        ]
        caption = 'The most frequent confusions; % is of the images of the true class.'
        tables.append(Table(['true class', 'taken for', 'images', '%'], rows, caption))
    return tables
