"""Metrics of long-tailed recognition."""

from mmlt.evaluation.calibration_error import CalibrationError
from mmlt.evaluation.shot_accuracy import ShotAccuracy, format_shot_table

__all__ = ['CalibrationError', 'ShotAccuracy', 'format_shot_table']
