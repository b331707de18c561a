"""Metrics of long-tailed recognition."""

from mmlt.evaluation.shot_accuracy import ShotAccuracy, format_shot_table

__all__ = ['ShotAccuracy', 'format_shot_table']
