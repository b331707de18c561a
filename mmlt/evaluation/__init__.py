"""Metrics of long-tailed recognition."""

from mmlt.evaluation.calibration_error import CalibrationError
from mmlt.evaluation.feature_geometry import FeatureGeometry
from mmlt.evaluation.shot_accuracy import ShotAccuracy, format_shot_table

__all__ = ['CalibrationError', 'FeatureGeometry', 'ShotAccuracy', 'format_shot_table']
