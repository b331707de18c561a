"""Metrics of long-tailed recognition, and the sums over many batches that they come from."""

from mmlt.evaluation.calibration_error import CalibrationError
from mmlt.evaluation.expert_accuracy import ExpertAccuracy
from mmlt.evaluation.feature_geometry import FeatureGeometry
from mmlt.evaluation.geometry_statistics import GeometryStatistics
from mmlt.evaluation.second_pass import SecondPass
from mmlt.evaluation.short_names import short_names
from mmlt.evaluation.shot_accuracy import ShotAccuracy, format_shot_table
from mmlt.evaluation.shot_intervals import shot_intervals

__all__ = [
    'CalibrationError',
    'ExpertAccuracy',
    'FeatureGeometry',
    'GeometryStatistics',
    'SecondPass',
    'ShotAccuracy',
    'format_shot_table',
    'short_names',
    'shot_intervals',
]
