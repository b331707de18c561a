"""Moved: counts to ``profiles``, weights and priors to ``priors``, shot groups to ``shots``."""

from mmlt.functional.moved import forward

_PROFILES = (
    'exponential_class_counts',
    'step_class_counts',
    'validation_counts',
    'shifted_class_counts',
    'DIRECTIONS',
)
_PRIORS = ('sampling_probabilities', 'effective_number_weights', 'class_log_prior')

__getattr__ = forward(
    __name__,
    dict.fromkeys(_PROFILES, 'mmlt.functional.profiles')
    | dict.fromkeys(_PRIORS, 'mmlt.functional.priors')
    | dict.fromkeys(('shot_groups', 'shot_accuracy'), 'mmlt.functional.shots')
    | {'Counts': 'mmlt.functional.checks'},
)
