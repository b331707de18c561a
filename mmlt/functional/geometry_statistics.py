"""Moved: the accumulators have state, and so live beside the metrics, in ``mmlt.evaluation``."""

from mmlt.functional.moved import forward

__getattr__ = forward(
    __name__,
    dict.fromkeys(('GeometryStatistics', 'SecondPass'), 'mmlt.evaluation')
    | {'CENTERINGS': 'mmlt.functional.geometry', 'check_features': 'mmlt.functional.checks'}
    | dict.fromkeys(('percent', 'unit_difference'), 'mmlt.functional.numerics'),
)
