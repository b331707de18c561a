"""What leaves the toolbox: a checkpoint to hand on, a model for another runtime."""

from mmlt.deployment.folding import fold_tuner
from mmlt.deployment.onnx_file import CannotExportError, export_onnx
from mmlt.deployment.publishing import publish, sizes

__all__ = ['CannotExportError', 'export_onnx', 'fold_tuner', 'publish', 'sizes']
