"""Pictures: data in, matplotlib figures out; :func:`save_figure` writes them as PNG and SVG."""

from mmlt.visualization.angular_distances import draw_angular_distances
from mmlt.visualization.class_counts import draw_class_counts
from mmlt.visualization.class_curves import draw_class_accuracy, draw_class_curves
from mmlt.visualization.class_matrices import draw_confusion_matrix, draw_separability_matrix
from mmlt.visualization.contact_sheet import draw_contact_sheet
from mmlt.visualization.embedding import Embedding, draw_embedding, embed_tsne
from mmlt.visualization.html_report import Picture, Table, html_page, sortable_page
from mmlt.visualization.margins import draw_dbm_margins
from mmlt.visualization.model_grids import draw_embedding_grid, draw_separability_grid
from mmlt.visualization.reliability import draw_reliability
from mmlt.visualization.style import render, save_figure
from mmlt.visualization.training_curves import (
    TrainingLog,
    draw_training_curves,
    read_training_log,
)

__all__ = [
    'Embedding',
    'Picture',
    'Table',
    'TrainingLog',
    'draw_angular_distances',
    'draw_class_accuracy',
    'draw_class_counts',
    'draw_class_curves',
    'draw_confusion_matrix',
    'draw_contact_sheet',
    'draw_dbm_margins',
    'draw_embedding',
    'draw_embedding_grid',
    'draw_reliability',
    'draw_separability_grid',
    'draw_separability_matrix',
    'draw_training_curves',
    'embed_tsne',
    'html_page',
    'read_training_log',
    'render',
    'save_figure',
    'sortable_page',
]
