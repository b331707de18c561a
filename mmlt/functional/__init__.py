"""The mathematics of the methods: tensors in, tensors out, no state. Needs torch alone.

============= ==================================================================
profiles      how many images each class has
priors        what these counts weigh: log-priors, class weights, sampling
shots         many, medium and few, and the accuracy on each
pairs         losses over sample-class pairs, sigmoid and softmax
bank          a remembered projection of each class
contrastive   samples against samples and prototypes (BCL)
uniformity    class vectors against class vectors
margins       on the cosine or the angle of the label's logit (LDAM, DBM)
geometry      separability and compactness; fisher, collapse: two more measures
moments       the sums over samples that these three come from
calibration   confidence against accuracy
queues        several remembered items a class (GML)
distillation  experts against each other, on all classes or on the hard ones (NCL); a teacher (GML)
linear        products with unit rows: what a classifier on the sphere computes
numerics      the few numerical pieces that all share
closed_form   gradients by hand, where autograd would copy large matrices
checks        what arguments have to be, each check written once
============= ==================================================================
"""

from mmlt.functional.bank import bank_similarity, write_bank
from mmlt.functional.calibration import (
    calibration_errors,
    expected_calibration_error,
    reliability_bins,
    top1_confidence,
)
from mmlt.functional.collapse import neural_collapse
from mmlt.functional.contrastive import balanced_contrastive_loss, supervised_contrastive_loss
from mmlt.functional.distillation import (
    hard_classes,
    knowledge_distillation,
    mask_easy_classes,
    mutual_distillation,
)
from mmlt.functional.fisher import fisher_separability
from mmlt.functional.geometry import (
    angular_distance,
    class_means,
    classifier_separability,
    feature_compactness,
    feature_separability,
    separability_matrix,
)
from mmlt.functional.margins import (
    cos_plus_margin,
    dbm_class_margin,
    dbm_logits,
    ldam_class_margin,
    ldam_logits,
    sphere_face_logits,
)
from mmlt.functional.moved import forward
from mmlt.functional.pairs import sample_negatives, sigmoid_pair_loss, softmax_pair_loss
from mmlt.functional.priors import (
    class_log_prior,
    effective_number_weights,
    sampling_probabilities,
)
from mmlt.functional.profiles import (
    exponential_class_counts,
    shifted_class_counts,
    step_class_counts,
    validation_counts,
)
from mmlt.functional.queues import class_log_means, class_queue_sizes, ring_slots
from mmlt.functional.shots import shot_accuracy, shot_groups
from mmlt.functional.uniformity import sigmoid_uniform_loss, softmax_uniform_loss

__all__ = [
    'angular_distance',
    'balanced_contrastive_loss',
    'bank_similarity',
    'calibration_errors',
    'class_log_means',
    'class_log_prior',
    'class_means',
    'class_queue_sizes',
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
    'hard_classes',
    'knowledge_distillation',
    'ldam_class_margin',
    'ldam_logits',
    'mask_easy_classes',
    'mutual_distillation',
    'neural_collapse',
    'reliability_bins',
    'ring_slots',
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
    'sphere_face_logits',
    'step_class_counts',
    'supervised_contrastive_loss',
    'top1_confidence',
    'validation_counts',
    'write_bank',
]

__getattr__ = forward(__name__, {'GeometryStatistics': 'mmlt.evaluation'})
