"""The mathematics of the methods: tensors in, tensors out, no state."""

from mmlt.functional.class_stats import (
    class_log_prior,
    effective_number_weights,
    exponential_class_counts,
    shot_accuracy,
    shot_groups,
    step_class_counts,
)
from mmlt.functional.contrastive import bank_similarity, write_bank
from mmlt.functional.geometry import (
    classifier_separability,
    feature_compactness,
    feature_separability,
)
from mmlt.functional.pairs import sample_negatives, sigmoid_pair_loss, softmax_pair_loss
from mmlt.functional.uniformity import sigmoid_uniform_loss, softmax_uniform_loss

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
