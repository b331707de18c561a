"""--fast: what is computed in which precision and layout, and that a resumed run is the same."""

import pytest
import torch
from test_training import differing, short_run, states

FAST = {
    'optim_wrapper.type': 'AmpOptimWrapper',
    'optim_wrapper.dtype': 'bfloat16',
    'default_hooks.fast_step': dict(type='FastStepHook'),
}


def test_the_backbone_is_half_and_channels_last_and_the_loss_is_float32(tmp_path):
    runner = short_run(tmp_path, 1, 9, **FAST)
    seen = {}
    model = runner.model

    def note(module, args, out):
        if module.training:  # the validation is in float32
            last = out[-1].is_contiguous(memory_format=torch.channels_last)
            seen.update(dtype=out[-1].dtype, last=last)

    model.backbone.register_forward_hook(note)
    model.head.loss_module.register_forward_pre_hook(
        lambda module, args: seen.update(logits=args[0].dtype)
    )
    runner.train()
    assert seen == dict(dtype=torch.bfloat16, last=True, logits=torch.float32)
    convolution = model.backbone.stages[0][0].conv1.weight
    assert convolution.dtype == torch.float32
    assert convolution.is_contiguous(memory_format=torch.channels_last)
    assert model.head.classifier.weight.dtype == torch.float32


def test_a_resumed_fast_run_ends_as_the_unbroken_one(tmp_path):
    (tmp_path / 'whole').mkdir()
    short_run(tmp_path / 'whole', 2, 9, **FAST).train()
    (tmp_path / 'broken').mkdir()
    short_run(tmp_path / 'broken', 1, 9, **FAST).train()
    short_run(tmp_path / 'broken', 2, 9, resume=True, **FAST).train()
    one, two = (states(tmp_path / name, 2)['state_dict'] for name in ('whole', 'broken'))
    assert differing(one, two) == []


def test_a_compiled_backbone_gives_the_numbers_of_the_plain_one():
    from mmpretrain.registry import MODELS

    from mmlt.engine.hooks import FastStepHook

    torch.manual_seed(0)
    model = torch.nn.Module()
    model.backbone = MODELS.build(dict(type='CifarResNet', depth=20)).eval()
    runner = type('Runner', (), dict(model=model))()
    images = torch.rand(2, 3, 32, 32)
    (wanted,) = model.backbone(images)
    names = list(model.backbone.state_dict())
    FastStepHook(compile=dict(backend='eager')).before_train(runner)  # without a C++ compiler
    (got,) = model.backbone(images)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    assert list(model.backbone.state_dict()) == names


@pytest.mark.parametrize('fast', [True, False])
def test_the_flag_of_the_tool_asks_for_it(fast, tmp_path):
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[2] / 'tools'))
    try:
        import train
    finally:
        sys.path.pop(0)
    from mmengine.config import Config
    from test_training import CONFIG

    flags = dict.fromkeys(
        (
            'no_validate',
            'amp',
            'auto_scale_lr',
            'no_persistent_workers',
            'cfg_options',
            'resume',
            'batch_augment',
            'in_memory',
        )  # fmt: skip
    )
    cfg = train.merge_args(
        Config.fromfile(CONFIG), type('Args', (), flags | dict(fast='eager' if fast else None))
    )
    assert cfg.optim_wrapper.get('type') == ('AmpOptimWrapper' if fast else None)
    assert ('fast_step' in cfg.default_hooks) == fast
