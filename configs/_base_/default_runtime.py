custom_imports = dict(imports=['mmlt'], allow_failed_imports=False)
default_scope = 'mmpretrain'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Writes beside the old file, then renames: a killed run keeps its last checkpoint.
    checkpoint=dict(type='SafeCheckpointHook', interval=1, max_keep_ckpts=2),
    # A checkpoint fits, or is refused; a loss that is no number ends the run; SIGTERM and Ctrl-C
    # save first; a resumed run takes the steps of an unbroken one.
    strict_load=dict(type='StrictLoadHook'),
    finite_loss=dict(type='FiniteLossHook'),
    stop_signal=dict(type='StopSignalHook'),
    exact_resume=dict(type='ExactResumeHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    class_counts_check=dict(type='ClassCountsCheckHook'),
    class_names_check=dict(type='ClassNamesCheckHook'),
    # A slot that trains nothing says so.
    idle_slot=dict(type='IdleSlotHook'),
    # Each epoch has random numbers of its own, so that a resumed run repeats the unbroken one.
    epoch_seed=dict(type='EpochSeedHook'),
    # Every process keeps BatchNorm statistics of its own: average them before they are used.
    sync_buffers=dict(type='SyncBuffersHook'),
)

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
randomness = dict(seed=0, deterministic=False)
visualizer = dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
load_from = None
resume = False

# tools/test.py --tta: the mean of the logits of an image and of its mirror image, as the released
# BCE3S has it; AverageClsScoreTTA takes the mean of the scores.
tta_model = dict(type='AverageLogitsTTA')
