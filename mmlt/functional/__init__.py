"""The mathematics of the methods: tensors in, tensors out, no state."""

from mmlt.functional.bank import bank_similarity, write_bank
from mmlt.functional.calibration import (
    calibration_errors,
    expected_calibration_error,
    reliability_bins,
    top1_confidence,
)
from mmlt.functional.class_stats import (
    class_log_prior,
    effective_number_weights,
    exponential_class_counts,
    sampling_probabilities,
    shifted_class_counts,
    shot_accuracy,
    shot_groups,
    step_class_counts,
    validation_counts,
)
from mmlt.functional.contrastive import balanced_contrastive_loss, supervised_contrastive_loss
from mmlt.functional.geometry import (
    angular_distance,
    class_means,
    classifier_separability,
    feature_compactness,
    feature_separability,
    fisher_separability,
    neural_collapse,
    separability_matrix,
)
from mmlt.functional.geometry_statistics import GeometryStatistics
from mmlt.functional.margins import (
    cos_plus_margin,
    dbm_class_margin,
    dbm_logits,
    ldam_class_margin,
    ldam_logits,
)
from mmlt.functional.pairs import sample_negatives, sigmoid_pair_loss, softmax_pair_loss
from mmlt.functional.uniformity import sigmoid_uniform_loss, softmax_uniform_loss

__all__ = [
    'GeometryStatistics',
    'angular_distance',
    'balanced_contrastive_loss',
    'bank_similarity',
    'calibration_errors',
    'class_log_prior',
    'class_means',
    'classifier_separability',
    'cos_plus_margin',
    'dbm_class_margin',
    'dbm_logits',
    'effective_number_weights',
    'expected_calibration_error',
    'exponential_class_counts',
    'feature_compactness',
    'feature_separability',
    'fisher_separability',
    'ldam_class_margin',
    'ldam_logits',
    'neural_collapse',
    'reliability_bins',
    'sample_negatives',
    'sampling_probabilities',
    'separability_matrix',
    'shifted_class_counts',
    'shot_accuracy',
    'shot_groups',
    'sigmoid_pair_loss',
    'sigmoid_uniform_loss',
    'softmax_pair_loss',
    'softmax_uniform_loss',
    'step_class_counts',
    'supervised_contrastive_loss',
    'top1_confidence',
    'validation_counts',
    'write_bank',
]
