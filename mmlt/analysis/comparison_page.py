"""The page of a comparison, and the pictures with the models laid over each other."""

import math
from collections.abc import Mapping

from mmlt.analysis.files import number
from mmlt.analysis.model_outputs import ACCURACIES
from mmlt.analysis.model_page import CAPTIONS, ERRORS, GROUPS
from mmlt.visualization import (
    Picture,
    Table,
    draw_angular_distances,
    draw_class_accuracy,
    draw_class_curves,
    draw_embedding_grid,
    draw_separability_grid,
    html_page,
)

MEASURES = {
    'compactness': 'feature compactness',
    'separability': 'feature separability',
    'separability_global': 'centred feature separability',
    'classifier_separability': 'classifier separability',
}
PICTURES = CAPTIONS | {
    'per_class_accuracy': 'Accuracy by training images: of each class, or, of more than 20, its '
    'moving average over the classes.',
    'separability': "How far the features of a class stand from the other classes' means, minus "
    'the mean of their own class: near 50 by construction. BCE3S, eq. 15, figs. 2 and 7.',
    'separability_global': 'The same, minus the mean of the class means: a reading of this '
    'library, which is not near 50 by construction.',
    'separability_matrix_grid': 'How far two classifier vectors stand apart, on one colour scale '
    'for all models. BCE3S, eq. 36, fig. 8.',
    'angular_distances': 'Angle between the features and the centre of their class, by group and '
    'model. DBM, fig. 4.',
    'tsne_grid': 'Features of some samples of each model, a plane for each: distances between '
    'planes mean nothing. As BCE3S, figs. 3 and 9.',
}
GRIDS = ('separability_matrix_grid', 'angular_distances', 'tsne_grid')


def draw(models: Mapping, title: str) -> dict:
    """The pictures, by the name of their file."""
    first = next(iter(models.values()))
    counts = first.values['class_counts']
    common = {key: first.values[key] for key in ('many', 'few')}
    common['class_names'] = [facts[1].split(',')[0][:20] for facts in first.facts]
    accuracy = {name: report.columns['accuracy'] for name, report in models.items()}
    figures = {'per_class_accuracy': draw_class_accuracy(accuracy, counts, title, **common)}
    for key, measure in MEASURES.items():
        curves = {name: rep.columns[key] for name, rep in models.items() if key in rep.columns}
        if curves:
            figures[key] = draw_class_curves(curves, counts, title, measure=measure, **common)
    return figures | draw_grids(models, title, common)


def draw_grids(models: Mapping, title: str, common: dict) -> dict:
    """The pictures that show the models beside each other, of what two of them or more have."""
    first = next(iter(models.values()))
    counts, limits = first.values['class_counts'], {k: common[k] for k in ('many', 'few')}

    def of(key: str) -> dict:
        found = {name: rep.geometry[key] for name, rep in models.items() if key in rep.geometry}
        return found if len(found) > 1 else {}

    figures = {}
    if matrices := of('separability_matrix'):
        figures['separability_matrix_grid'] = draw_separability_grid(
            matrices, counts, title, **limits
        )
    if angles := of('angular_distances'):
        figures['angular_distances'] = draw_angular_distances(
            angles, first.labels, counts, title, **limits
        )
    if points := of('tsne_points'):
        labels = of('tsne_labels')
        planes = {name: (part, labels[name]) for name, part in points.items()}
        figures['tsne_grid'] = draw_embedding_grid(planes, counts, title, **common)
    return figures


def page(title: str, rows: dict, deltas: dict, models: dict, pngs: dict) -> str:
    """The page of the comparison."""

    def table(prefix: str, columns, caption: str) -> Table:
        cells = [
            [name, *(cell(row, deltas[name], f'{prefix}/{c}', name) for c in columns)]
            for name, row in rows.items()
        ]
        return Table(['', *columns], cells, caption)

    base = next(iter(rows))

    def cell(row: dict, delta: dict, key: str, name: str) -> str:
        text, change = number(row.get(key)), delta.get(key, math.nan)
        return text if name == base or math.isnan(change) else f'{text} ({change:+.2f})'

    groups = ('mean', 'std', *GROUPS)
    geometry = [
        table(key, groups, f'{measure[:1].upper()}{measure[1:]} (%)')
        for key, measure in MEASURES.items()
    ]
    geometry += [
        table('fisher', groups, 'Fisher separability, DBM eq. 12'),
        table('angular_distance', groups, 'Angle to the class centre (degrees), DBM fig. 4'),
    ]
    collapse = list(dict.fromkeys(k for row in rows.values() for k in row if 'collapse/' in k))
    if collapse:
        cells = [
            [
                key.split('/')[1],
                *(f'{row[key]:.4g}' if key in row else '-' for row in rows.values()),
            ]
            for key in collapse
        ]
        caption = 'Neural collapse: distances, all 0 at full collapse.'
        geometry.append(Table(['', *rows], cells, caption))
    changes = Table(
        ['', 'gained', 'lost'],
        [
            [name, str(row['changes/gained']), str(row['changes/lost'])]
            for name, row in rows.items()
            if name != base
        ],
        f'Images that are right here and wrong with {base} (gained), and the other way round.',
    )
    sources = [
        f'{name}: {report.values["config"]}, {report.values["checkpoint"]}.'
        for name, report in models.items()
    ]
    notes = list(dict.fromkeys(note for rep in models.values() for note in rep.values['notes']))
    return html_page(
        title,
        {
            '': [*sources, f'In brackets: the difference to {base}.', *notes],
            'Accuracy': [
                table('accuracy', ACCURACIES, 'Accuracy (%)'),
                changes,
                moved_classes(models),
                Picture(pngs['per_class_accuracy'], PICTURES['per_class_accuracy']),
            ],
            'Calibration': [table('calibration', ERRORS, 'Calibration error (%)')],
            'Geometry': [
                *geometry,
                *(Picture(pngs[key], PICTURES[key]) for key in (*MEASURES, *GRIDS) if key in pngs),
            ],
        },
    )


def moved_classes(models: Mapping, most: int = 10) -> Table:
    """The classes whose accuracy differs most between the first model and another, by name."""
    first = next(iter(models.values()))
    accuracy = {name: report.columns['accuracy'] for name, report in models.items()}
    base = first.columns['accuracy']
    deltas = {name: values - base for name, values in list(accuracy.items())[1:]}
    largest = [max((abs(d[k]) for d in deltas.values()), default=0) for k in range(len(base))]
    largest = [0 if math.isnan(value) else value for value in largest]
    order = sorted(range(len(base)), key=lambda k: -largest[k])[:most]
    rows = []
    for k in order:
        cells = [number(base[k])]
        cells += [f'{number(accuracy[name][k])} ({d[k]:+.2f})' for name, d in deltas.items()]
        _, name, count, group, _ = first.facts[k]
        rows.append([name, group, count, *cells])
    caption = f'The {len(rows)} classes whose accuracy (%) differs most.'
    return Table(['class', 'group', 'training images', *accuracy], rows, caption)
