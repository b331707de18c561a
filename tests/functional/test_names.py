"""The names that others import: none may be lost unseen, and what moved keeps its old path."""

import importlib

import pytest

import mmlt.functional

# Every public name of mmlt.functional, and of its modules before they were cut by topic.
EXPORTED = """
    GeometryStatistics angular_distance balanced_contrastive_loss bank_similarity
    calibration_errors class_log_means class_log_prior class_means class_queue_sizes
    classifier_separability cos_plus_margin
    dbm_class_margin dbm_logits effective_number_weights expected_calibration_error
    exponential_class_counts feature_compactness feature_separability fisher_separability
    hard_classes knowledge_distillation ldam_class_margin ldam_logits mask_easy_classes
    mutual_distillation neural_collapse reliability_bins ring_slots sample_negatives
    sampling_probabilities separability_matrix shifted_class_counts shot_accuracy shot_groups
    sigmoid_pair_loss sigmoid_uniform_loss softmax_pair_loss softmax_uniform_loss
    step_class_counts supervised_contrastive_loss top1_confidence validation_counts write_bank
"""
MODULES = {
    'calibration': 'top1_confidence reliability_bins calibration_errors expected_calibration_error',
    'class_stats': 'exponential_class_counts step_class_counts validation_counts '
    'shifted_class_counts sampling_probabilities effective_number_weights class_log_prior '
    'shot_groups shot_accuracy Counts DIRECTIONS',
    'collapse': 'collapse_measures',
    'contrastive': 'bank_similarity write_bank balanced_contrastive_loss '
    'supervised_contrastive_loss check_form FORMS',
    'fisher': 'shared_fisher pair_fisher',
    'geometry': 'classifier_separability separability_matrix feature_compactness '
    'feature_separability fisher_separability neural_collapse class_means angular_distance '
    'GeometryStatistics',
    'geometry_statistics': 'GeometryStatistics SecondPass percent unit_difference check_features '
    'CENTERINGS',
    'margins': 'dbm_class_margin ldam_class_margin cos_plus_margin dbm_logits ldam_logits '
    'check_instance_margin',
    'numerics': 'softplus upcast unit_rows reduce_samples REDUCTIONS',
    'pairs': 'sigmoid_pair_loss softmax_pair_loss sample_negatives',
    'uniformity': 'sigmoid_uniform_loss softmax_uniform_loss',
}


def test_no_exported_name_is_lost():
    for name in EXPORTED.split():
        assert callable(getattr(mmlt.functional, name))
    # What has state came down from the metrics; everything else is the package's own.
    assert set(EXPORTED.split()) - {'GeometryStatistics'} <= set(mmlt.functional.__all__)


@pytest.mark.parametrize('module', MODULES)
def test_an_old_import_path_gives_the_same_object(module):
    old = importlib.import_module(f'mmlt.functional.{module}')
    for name in MODULES[module].split():
        found = getattr(old, name)
        if hasattr(found, '__qualname__'):
            home = importlib.import_module(found.__module__)
            assert getattr(home, found.__name__) is found
    with pytest.raises(ImportError, match='cannot import name .no_such_name. from'):
        exec(f'from mmlt.functional.{module} import no_such_name')


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'mmlt.functional' has no attribute 'write_bonk'"):
        _ = mmlt.functional.write_bonk
    assert not hasattr(mmlt.functional.numerics, 'no_such_name')
