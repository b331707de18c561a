from mmlt.engine.hooks.batch_norm_drift_hook import BatchNormDriftHook
from mmlt.engine.hooks.class_counts_check_hook import ClassCountsCheckHook
from mmlt.engine.hooks.class_names_check_hook import ClassNamesCheckHook
from mmlt.engine.hooks.classifier_geometry_hook import ClassifierGeometryHook
from mmlt.engine.hooks.classifier_retraining_hook import ClassifierRetrainingHook
from mmlt.engine.hooks.deferred_reweighting_hook import DeferredReweightingHook
from mmlt.engine.hooks.early_param_scheduler_hook import EarlyParamSchedulerHook
from mmlt.engine.hooks.epoch_seed_hook import EpochSeedHook
from mmlt.engine.hooks.epoch_switch_hook import EpochSwitchHook
from mmlt.engine.hooks.exact_resume_hook import ExactResumeHook
from mmlt.engine.hooks.fast_step_hook import FastStepHook
from mmlt.engine.hooks.finite_loss_hook import FiniteLossHook, NonFiniteLossError
from mmlt.engine.hooks.idle_slot_hook import IdleSlotHook
from mmlt.engine.hooks.max_norm_hook import MaxNormHook
from mmlt.engine.hooks.safe_checkpoint_hook import SafeCheckpointHook
from mmlt.engine.hooks.stop_signal_hook import Stopped, StopSignalHook
from mmlt.engine.hooks.strict_load_hook import StrictLoadHook
from mmlt.engine.hooks.sync_buffers_hook import SyncBuffersHook

__all__ = [
    'BatchNormDriftHook',
    'ClassCountsCheckHook',
    'ClassNamesCheckHook',
    'ClassifierGeometryHook',
    'ClassifierRetrainingHook',
    'DeferredReweightingHook',
    'EarlyParamSchedulerHook',
    'EpochSeedHook',
    'EpochSwitchHook',
    'ExactResumeHook',
    'FastStepHook',
    'FiniteLossHook',
    'IdleSlotHook',
    'MaxNormHook',
    'NonFiniteLossError',
    'SafeCheckpointHook',
    'StopSignalHook',
    'Stopped',
    'StrictLoadHook',
    'SyncBuffersHook',
]
