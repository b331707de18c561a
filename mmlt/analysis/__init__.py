"""Reports of trained models: what ``tools/analysis_tools`` writes, as functions.

One pass over the images (``model_outputs``) gives features and predictions; ``measures`` takes the
geometry of them, ``model_report`` writes it down, ``model_page`` lays it out. ``comparison`` reads
such reports and lays them side by side.
"""

from mmlt.analysis.comparison import compare, read_report
from mmlt.analysis.loading import open_model, use_scope
from mmlt.analysis.measures import Classifier, classifier_of, measure
from mmlt.analysis.model_outputs import Outputs, build_loader, load_model, run
from mmlt.analysis.model_report import analyze, give_to_backends

__all__ = [
    'Classifier',
    'Outputs',
    'analyze',
    'build_loader',
    'classifier_of',
    'compare',
    'give_to_backends',
    'load_model',
    'measure',
    'open_model',
    'read_report',
    'run',
    'use_scope',
]
