from mmlt.engine.hooks.class_counts_check_hook import ClassCountsCheckHook
from mmlt.engine.hooks.classifier_geometry_hook import ClassifierGeometryHook
from mmlt.engine.hooks.classifier_retraining_hook import ClassifierRetrainingHook
from mmlt.engine.hooks.deferred_reweighting_hook import DeferredReweightingHook
from mmlt.engine.hooks.epoch_seed_hook import EpochSeedHook
from mmlt.engine.hooks.epoch_switch_hook import EpochSwitchHook
from mmlt.engine.hooks.fast_step_hook import FastStepHook
from mmlt.engine.hooks.max_norm_hook import MaxNormHook
from mmlt.engine.hooks.safe_checkpoint_hook import SafeCheckpointHook

__all__ = [
    'ClassCountsCheckHook',
    'ClassifierGeometryHook',
    'ClassifierRetrainingHook',
    'DeferredReweightingHook',
    'EpochSeedHook',
    'EpochSwitchHook',
    'FastStepHook',
    'MaxNormHook',
    'SafeCheckpointHook',
]
