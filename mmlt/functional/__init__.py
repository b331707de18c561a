"""The mathematics of the methods: tensors in, tensors out, no state."""

from .class_stats import (
    class_log_prior,
    effective_number_weights,
    exponential_class_counts,
    shot_accuracy,
    shot_groups,
    step_class_counts,
)
from .contrastive import bank_similarity, write_bank
from .geometry import classifier_separability, feature_compactness, feature_separability
from .pairs import sample_negatives, sigmoid_pair_loss, softmax_pair_loss
from .uniformity import sigmoid_uniform_loss, softmax_uniform_loss

__all__ = [
    'bank_similarity',
    'class_log_prior',
    'classifier_separability',
    'effective_number_weights',
    'exponential_class_counts',
    'feature_compactness',
    'feature_separability',
    'sample_negatives',
    'shot_accuracy',
    'shot_groups',
    'sigmoid_pair_loss',
    'sigmoid_uniform_loss',
    'softmax_pair_loss',
    'softmax_uniform_loss',
    'step_class_counts',
    'write_bank',
]
