"""What steers the runner."""

from mmlt.engine import hooks
from mmlt.engine.trained_parameters_constructor import TrainedParametersConstructor

__all__ = ['TrainedParametersConstructor', 'hooks']
