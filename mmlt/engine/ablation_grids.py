"""The papers' tables and figures of one config with something changed: row by row.

A row is the ``--cfg-options`` that make it of the grid's config, and the numbers that the paper
prints for it. ``tools/ablation_grid.py`` runs them.
"""

from itertools import product
from typing import NamedTuple

GROUPS = ('many', 'medium', 'few', 'all')


class Row(NamedTuple):
    """A cell of a table: how it is made, and what the paper has there."""

    options: tuple[str, ...]
    paper: dict[str, float] | None = None


class Grid(NamedTuple):
    """A table or figure: the config that its rows change, and the data of its numbers."""

    title: str
    config: str
    rows: dict[str, Row]
    class_counts: str = 'cifar100-lt-if100'


def _paper(*values: float) -> dict[str, float]:
    """The numbers of a row: all four groups, or 'all' alone."""
    return dict(zip(GROUPS if len(values) > 1 else ('all',), values))


def bce3s_table2(contrast_weight: float = 0.1, uniform_weight: float = 1.0) -> Grid:
    """Return softmax (CE), sigmoid (BCE) or nothing in each slot, 14 rows.

    'ss' is sample - sample, 'cc' class - class, as the paper has it.

    Example:
        >>> bce3s_table2().rows['ce'].options
        ('model.head.joint=softmax', 'model.head.contrast=None', 'model.head.uniform=None')
    """
    soft, sig = 'softmax', 'sigmoid'
    rows = {
        'ce': (soft, None, None, 82.29, 51.37, 15.67, 51.48),
        'bce': (sig, None, None, 81.11, 55.06, 17.40, 52.88),
        'ce+ce_ss': (soft, soft, None, 84.09, 54.80, 17.53, 53.87),
        'ce+bce_ss': (soft, sig, None, 84.17, 55.20, 17.90, 54.15),
        'bce+ce_ss': (sig, soft, None, 83.37, 55.83, 19.87, 54.68),
        'bce+bce_ss': (sig, sig, None, 82.74, 56.57, 20.63, 54.95),
        'ce+ce_cc': (soft, None, soft, 82.31, 51.83, 17.20, 52.11),
        'ce+bce_cc': (soft, None, sig, 81.23, 53.69, 18.17, 52.67),
        'bce+ce_cc': (sig, None, soft, 81.57, 55.51, 17.93, 53.36),
        'bce+bce_cc': (sig, None, sig, 81.03, 56.51, 19.20, 53.90),
        'ce3s': (soft, soft, soft, 83.97, 54.54, 18.87, 54.14),
        'ce+bce_ss+bce_cc': (soft, sig, sig, 83.77, 54.49, 18.67, 53.99),
        'bce+ce_ss+ce_cc': (sig, soft, soft, 83.77, 56.17, 21.40, 55.40),
        'bce3s': (sig, sig, sig, 83.34, 57.09, 22.80, 55.99),
    }

    def options(joint: str, contrast: str | None, uniform: str | None) -> tuple[str, ...]:
        return (
            f'model.head.joint={joint}',
            *_slot('contrast', contrast, 'PairLoss', contrast_weight),
            *_slot('uniform', uniform, 'UniformLoss', uniform_weight),
        )

    return Grid(
        'BCE3S, table 2: softmax, sigmoid or nothing in each slot',
        'configs/bce3s/resnet34_cifar100-lt-if100.py',
        {name: Row(options(*row[:3]), _paper(*row[3:])) for name, row in rows.items()},
    )


def _slot(slot: str, kind: str | None, criterion: str, weight: float) -> tuple[str, ...]:
    if kind is None:
        return (f'model.head.{slot}=None',)
    kind = f'{kind.capitalize()}{criterion}'
    return f'model.head.{slot}.type={kind}', f'model.head.{slot}.loss_weight={weight}'


_NO_CONTRAST, _NO_UNIFORM = 'model.head.contrast=None', 'model.head.uniform=None'
_JOINT_ALONE = (_NO_CONTRAST, _NO_UNIFORM)


def bce3s_table6() -> Grid:
    """Return the joint slot alone, all negatives, with and without unit features and rows."""

    def row(kind: str, *paper: float, rows_too: bool = False) -> Row:
        classifier = f'model.head.classifier.type={kind}'
        unit = ('model.head.classifier.unit_rows=True',) * rows_too
        options = (*_JOINT_ALONE, 'model.head.negative_ratio=1.0', classifier, *unit)
        return Row(options, _paper(*paper))

    return Grid(
        'BCE3S, table 6: what is normalised, joint slot alone with r = 1',
        'configs/bce3s/resnet34_cifar100-lt-if100.py',
        {
            'none': row('torch.nn.Linear', 81.20, 52.51, 10.30, 49.89),
            'feature': row('UnitFeatureLinear', 2.86, 0.00, 0.00, 1.00),
            'classifier': row('NormedLinear', 81.83, 52.20, 15.50, 51.56),
            'both': row('UnitFeatureLinear', 79.60, 49.11, 16.27, 49.93, rows_too=True),
        },
    )


def bce3s_figure5() -> Grid:
    """Return r, the weight of the uniform slot, and weight and temperature of the contrast slot.

    The figure's points are not printed as numbers; those here are ours but for r = 0.4 and 1.
    """
    ratio, uniform = 'model.head.negative_ratio', 'model.head.uniform_weight'
    contrast, temperature = 'model.head.contrast_weight', 'model.head.temperature'
    known = {0.4: _paper(81.11, 55.06, 17.40, 52.88), 1.0: _paper(81.83, 52.20, 15.50, 51.56)}
    rows = {
        f'r={r}': Row((*_JOINT_ALONE, f'{ratio}={r}'), known.get(r))
        for r in (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
    }
    rows |= {
        f'uniform={w}': Row((_NO_CONTRAST, f'{uniform}={w}'))
        for w in (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
    }
    rows |= {
        f'contrast={w},tau={t}': Row((_NO_UNIFORM, f'{contrast}={w}', f'{temperature}={t}'))
        for w, t in product((0.05, 0.1, 0.2, 0.5), (0.5, 1.0, 2.0))
    }
    return Grid(
        'BCE3S, figure 5: r; weight of the uniform slot; weight and temperature of contrast',
        'configs/bce3s/resnet34_cifar100-lt-if100.py',
        rows,
    )


def bcl_table1() -> Grid:
    """Return the three places of the average over a class."""
    paper = {'L1': 51.9, 'L2': 50.2, 'L3': 51.0}
    return Grid(
        'BCL, table 1: where a class is averaged (eqs. 6 to 8), 200 epochs',
        'configs/bcl/resnet32_cifar100-lt-if100.py',
        {form: Row((f'model.head.form={form}',), _paper(value)) for form, value in paper.items()},
    )


def bcl_table2() -> Grid:
    """Return the parts of the loss, one by one."""

    def row(paper: float, **parts: bool) -> Row:
        return Row(tuple(f'model.head.{k}={v}' for k, v in parts.items()), _paper(paper))

    return Grid(
        'BCL, table 2: the parts of the loss, 400 epochs',
        'configs/bcl/resnet32_cifar100-lt-if100_400e.py',
        {
            'lc': Row((_NO_CONTRAST,), _paper(50.8)),
            'lc+sc': row(52.4, class_averaging=False, class_complement=False),
            'lc+sc+complement': row(52.3, class_averaging=False, class_complement=True),
            'lc+sc+averaging': row(52.0, class_averaging=True, class_complement=False),
            'bcl': row(53.9, class_averaging=True, class_complement=True),
        },
    )


_CE = 'configs/baselines/ce_resnet32_cifar100-lt-if100.py'
_COSINE = ('model.head.classifier.type=CosineLinear', 'model.head.classifier.scale=32.0')


def _margin(kind: str, /, **options) -> tuple[str, ...]:
    options = {'type': kind} | options
    return (*_COSINE, *(f'model.head.margin.{key}={value}' for key, value in options.items()))


def dbm_table1() -> Grid:
    """Return the margins that the paper names; it prints no numbers for them, sizes are ours."""
    return Grid(
        'DBM, table 1: the margins of other losses, softmax, s = 32',
        _CE,
        {
            'sphereface': Row(_margin('SphereFaceMargin', multiplier=2)),
            'cosface': Row(_margin('ConstantMargin', kind='cosine', margin=0.1)),
            'arcface': Row(_margin('ConstantMargin', kind='angle', margin=0.1)),
            'ldam': Row(_margin('LDAMMargin', max_margin=0.5)),
        },
    )


def dbm_table5() -> Grid:
    """Return the parts of DBM on CE and BS: cosine, class-wise and instance-wise margin."""
    parts = {
        '': ((), 44.60, 49.35),
        '+cosine': (_COSINE, 44.29, 49.84),
        '+mC': (_margin('DBMMargin', instance_margin='none'), 45.85, 50.61),
        '+mC+mI(P)': (_margin('DBMMargin', instance_margin='all'), 46.38, 50.93),
        '+mC+mI(HP)': (_margin('DBMMargin', instance_margin='hard'), 46.53, 51.30),
    }
    balanced = ('model.head.joint.type=BalancedSoftmaxLoss',)
    rows = {f'ce{name}': Row(options, _paper(ce)) for name, (options, ce, _) in parts.items()}
    rows |= {
        f'bs{name}': Row((*options, *balanced), _paper(bs))
        for name, (options, _, bs) in parts.items()
    }
    return Grid('DBM, table 5: the parts of the loss on CE and BS', _CE, rows)


def dbm_figure3() -> Grid:
    """Return K and tau of DBM-BS; only K = 0.1, tau = 1 is printed as a number."""
    sizes = ('model.head.max_margin', (0.05, 0.1, 0.2, 0.3), 'K')
    powers = ('model.head.tau', (0.25, 0.5, 1.0, 1.5, 2.0), 'tau')
    return Grid(
        'DBM, figure 3: K (tau = 1) and tau (K = 0.1) of DBM-BS',
        'configs/dbm/dbm-bs_resnet32_cifar100-lt-if100.py',
        {
            f'{name}={value}': Row(
                (f'{key}={value}',), _paper(51.30) if value in (0.1, 1.0) else None
            )
            for key, values, name in (sizes, powers)
            for value in values
        },
    )


GRIDS = {
    'bce3s-table2': bce3s_table2,
    'bce3s-table6': bce3s_table6,
    'bce3s-figure5': bce3s_figure5,
    'bcl-table1': bcl_table1,
    'bcl-table2': bcl_table2,
    'dbm-table1': dbm_table1,
    'dbm-table5': dbm_table5,
    'dbm-figure3': dbm_figure3,
}
