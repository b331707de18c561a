"""Second stages as runs of their own, on the digits: eq. 35, cRT, LWS, MaxNorm."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from mmpretrain.registry import MODELS

import mmlt  # noqa: F401
from mmlt.engine.hooks import ClassifierRetrainingHook, MaxNormHook

CONFIGS = Path(__file__).parents[2] / 'configs'
TARGET = dict(target_class_counts=[1] * 9 + [2])


def run(config, work_dir, max_epochs=2, **options) -> Runner:
    """Train a config of the digits for few epochs."""
    cfg = Config.fromfile(CONFIGS / config)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f'{work_dir.name}-{max_epochs}'
    cfg.train_cfg.update(max_epochs=max_epochs, val_interval=max_epochs)
    cfg.param_scheduler = []
    cfg.default_hooks.checkpoint.max_keep_ckpts = -1
    cfg.merge_from_dict(options)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def weights(work_dir, epoch) -> dict:
    return torch.load(work_dir / f'epoch_{epoch}.pth', weights_only=True)['state_dict']


def changed(before: dict, after: dict) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.fixture(scope='module')
def stage1(tmp_path_factory):
    """First stages: BCE3S, and cross-entropy on a linear classifier."""
    root = tmp_path_factory.mktemp('stage1')
    run('bce3s/stage1_resnet20_digits-lt.py', root / 'bce3s')
    run('baselines/ce_resnet20_digits-lt.py', root / 'ce')
    return root


@pytest.mark.parametrize(
    ('config', 'first', 'trained'),
    [
        ('bce3s/stage2_resnet20_digits-lt.py', 'bce3s', {'weight', 'bias'}),
        ('baselines/crt_resnet20_digits-lt.py', 'ce', {'weight', 'bias'}),
        ('baselines/lws_resnet20_digits-lt.py', 'ce', {'scale'}),
    ],
)
def test_the_second_stage_trains_its_part_alone(config, first, trained, stage1, tmp_path):
    load_from = str(stage1 / first / 'epoch_2.pth')
    runner = run(config, tmp_path / 'two', load_from=load_from)
    before, after = weights(stage1 / first, 2), weights(tmp_path / 'two', 2)
    # The running statistics of BatchNorm are among what did not change, bit for bit.
    kept = {name for name in after if not name.startswith('head.classifier')}
    assert kept == {name for name in before if not name.startswith('head.classifier')}
    assert changed({name: before[name] for name in kept}, after) == set()
    if 'scale' in trained:
        before['head.classifier.scale'] = torch.ones(10)
    assert changed(before, after) == {f'head.classifier.{name}' for name in trained}
    assert runner.val_loop.evaluator.metrics[0].per_class


def test_crt_begins_from_new_class_vectors(stage1, tmp_path):
    load_from = str(stage1 / 'ce/epoch_2.pth')
    options = {'load_from': load_from, 'optim_wrapper.optimizer.lr': 0.0}
    run('baselines/crt_resnet20_digits-lt.py', tmp_path / 'reset', 1, **options)
    old = weights(stage1 / 'ce', 2)['head.classifier.weight']
    new = weights(tmp_path / 'reset', 1)['head.classifier.weight']
    assert torch.nn.functional.cosine_similarity(old.flatten(), new.flatten(), dim=0).abs() < 0.3
    assert new.abs().max() <= 64**-0.5  # nn.Linear's own initial range
    options['default_hooks.retraining.reset'] = False
    run('baselines/crt_resnet20_digits-lt.py', tmp_path / 'kept', 1, **options)
    assert torch.equal(weights(tmp_path / 'kept', 1)['head.classifier.weight'], old)


def test_the_samplers_draws_are_balanced(stage1, tmp_path):
    runner = run(
        'baselines/crt_resnet20_digits-lt.py',
        tmp_path / 'run',
        1,
        load_from=str(stage1 / 'ce/epoch_2.pth'),
    )
    loader = runner.train_dataloader
    labels = loader.dataset.get_gt_labels()[list(loader.sampler)]
    drawn = torch.bincount(torch.as_tensor(labels), minlength=10)
    wanted = len(labels) / 10
    assert len(labels) == 314
    assert ((drawn - wanted).abs() < 4 * (wanted * 0.9) ** 0.5).all()


@pytest.mark.parametrize('resume_at', [1, 2])
def test_a_resumed_second_stage_ends_as_an_unbroken_one(resume_at, stage1, tmp_path):
    config, load_from = 'baselines/crt_resnet20_digits-lt.py', str(stage1 / 'ce/epoch_2.pth')
    hooks = [dict(type='MaxNormHook', by_epoch=False)]
    options = {'load_from': load_from}

    def go(name, epochs, **more):
        return run(config, tmp_path / name, epochs, custom_hooks=hooks, **more)

    go('whole', 3, **options)
    go('broken', resume_at, **options)
    go('broken', 3, resume=True)
    assert changed(weights(tmp_path / 'whole', 3), weights(tmp_path / 'broken', 3)) == set()


def test_a_second_stage_without_a_first_is_refused(tmp_path):
    with pytest.raises(ValueError, match='load_from=CHECKPOINT'):
        run('bce3s/stage2_resnet20_digits-lt.py', tmp_path / 'none')


def test_an_unknown_part_is_refused(stage1, tmp_path):
    options = {
        'load_from': str(stage1 / 'bce3s/epoch_2.pth'),
        'default_hooks.retraining.trained': 'classifier.scale',
    }
    with pytest.raises(ValueError, match="trained='classifier.scale' is no part of BCE3SHead"):
        run('bce3s/stage2_resnet20_digits-lt.py', tmp_path / 'unknown', **options)


@pytest.mark.parametrize(
    ('option', 'value', 'error'),
    [
        ('joint', dict(type='NoSuchLoss'), 'NoSuchLoss is not in the'),
        ('joint', dict(type='ClassBalancedLoss', beta=2), r'beta must be in \[0, 1\)'),
        ('trained', 'clasifier', "trained='clasifier' is no part of BCE3SHead"),
        ('views', ('mixup',), r"views must be 'plain' and then others"),
    ],
)
def test_a_typo_is_told_before_the_first_stage(option, value, error, tmp_path):
    prefix = 'default_hooks.retraining'
    options = {f'{prefix}.begin_epoch': 1, f'{prefix}.{option}': value}
    cfg = Config.fromfile(CONFIGS / 'bce3s/resnet20_digits-lt.py')
    cfg.work_dir, cfg.experiment_name = str(tmp_path), tmp_path.name
    cfg.merge_from_dict(options)
    runner = Runner.from_cfg(cfg)
    with pytest.raises((KeyError, ValueError), match=error):
        runner.train()
    assert runner.iter == 0


def test_the_default_criterion_weighs_that_of_the_first_stage():
    def second(**options):
        options = dict(num_classes=10, in_channels=4, class_counts='digits-lt-if50') | options
        head = MODELS.build(options)
        return head, ClassifierRetrainingHook(0)._criterion(head)

    head, criterion = second(type='BCE3SHead')
    assert criterion.criterion is head.loss_module
    assert criterion.criterion.negative_ratio == 0.4
    _, criterion = second(type='TripartiteHead', joint='softmax')
    assert type(criterion.criterion).__name__ == 'SoftmaxPairLoss'
    with pytest.raises(TypeError, match='BalancedSoftmaxLoss, knows the class counts already'):
        second(type='TripartiteHead', joint=dict(type='BalancedSoftmaxLoss'))


def test_a_scoped_name_weighs_the_criterion_of_the_first_stage_too():
    head = MODELS.build(
        dict(type='TripartiteHead', num_classes=10, in_channels=4, joint='softmax',
             class_counts='digits-lt-if50')
    )  # fmt: skip
    hook = ClassifierRetrainingHook(0, joint=dict(type='mmpretrain.ClassBalancedLoss', beta=0.9))
    assert hook._criterion(head).criterion is head.loss_module


@pytest.mark.parametrize(
    ('first', 'adjustment', 'second', 'told'),
    [
        # The prior would be taken out twice, or, in the third case, put back.
        ('SoftmaxPairLoss', {}, 'BalancedSoftmaxLoss', 'takes 1 of .* counts on 0'),
        ('BalancedSoftmaxLoss', TARGET, 'SoftmaxPairLoss', 'takes 0 of .* counts on 1'),
        ('SoftmaxPairLoss', dict(balanced=1.0, **TARGET), 'BalancedSoftmaxLoss', None),
        ('SoftmaxPairLoss', {}, 'ClassBalancedLoss', None),
    ],
)
def test_an_adjustment_that_counts_on_the_first_criterion_is_refused(
    first, adjustment, second, told, tmp_path
):
    cfg = Config.fromfile(CONFIGS / 'baselines/ce_resnet20_digits-lt.py')
    cfg.work_dir, cfg.experiment_name = str(tmp_path), tmp_path.name
    cfg.model.head.update(joint=dict(type=first), adjustment=adjustment)
    joint = dict(type=second)
    cfg.custom_hooks = [dict(type='ClassifierRetrainingHook', begin_epoch=1, joint=joint)]
    runner = Runner.from_cfg(cfg)
    runner.build_train_loop(cfg.train_cfg)
    hook = next(h for h in runner.hooks if isinstance(h, ClassifierRetrainingHook))
    if told is None:
        hook.check(runner)
        return
    with pytest.raises(ValueError, match=told):
        hook.check(runner)


def test_too_few_views_for_the_joint_slot_are_told_before_the_first_stage(tmp_path):
    options = {
        'default_hooks.retraining.begin_epoch': 1,
        'model.head.joint_views': 2,
    }
    with pytest.raises(
        ValueError, match=r"views=\('plain',\), 1 of each .* but joint_views wants 2"
    ):
        run('bce3s/resnet20_digits-lt.py', tmp_path, **options)
    assert not list(tmp_path.glob('*.pth'))
    views = {'default_hooks.retraining.views': ('plain', 'mixup')}
    assert run('bce3s/resnet20_digits-lt.py', tmp_path / 'two', **options, **views).epoch == 2


@pytest.mark.parametrize(
    'hook',
    [
        dict(type='DeferredReweightingHook', begin_epoch=1),
        dict(type='ClassifierRetrainingHook', begin_epoch=1),
        dict(type='MaxNormHook'),
    ],
    ids=lambda hook: hook['type'],
)
def test_a_run_that_counts_iterations_is_refused(hook, tmp_path):
    cfg = Config.fromfile(CONFIGS / 'bce3s/stage1_resnet20_digits-lt.py')
    cfg.work_dir, cfg.experiment_name = str(tmp_path), tmp_path.name
    cfg.train_cfg = dict(by_epoch=False, max_iters=3)
    cfg.param_scheduler, cfg.custom_hooks = [], [hook]
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match=f'{hook["type"]} acts from epoch . on, but .* iterations'):
        runner.train()
    assert runner.iter == 0


def test_two_hooks_that_change_the_criterion_are_refused_before_training(tmp_path):
    hooks = [
        dict(type='DeferredReweightingHook', begin_epoch=1),
        dict(type='ClassifierRetrainingHook', begin_epoch=2),
    ]
    with pytest.raises(ValueError, match='DeferredReweightingHook and ClassifierRetrainingHook b'):
        run('baselines/bs_resnet20_digits-lt.py', tmp_path, custom_hooks=hooks)
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize(
    ('hook', 'named'),
    [
        (dict(type='MaxNormHook'), 'MaxNormHook'),
        (
            dict(type='ClassifierRetrainingHook', begin_epoch=1, reset=True, joint='softmax'),
            'ClassifierRetrainingHook with reset=True',
        ),
    ],
)
def test_weights_that_an_average_would_not_follow_are_not_changed(hook, named, tmp_path):
    hooks = [hook, dict(type='EMAHook')]
    with pytest.raises(ValueError, match=f'{named} changes the weights of the model, but with an'):
        run('baselines/ce_resnet20_digits-lt.py', tmp_path, custom_hooks=hooks)


# --- MaxNorm ---------------------------------------------------------------------------------


@pytest.mark.parametrize('by_epoch', [True, False])
def test_max_norm_bounds_the_rows_by_the_rule(by_epoch, stage1, tmp_path):
    first = weights(stage1 / 'ce', 2)['head.classifier.weight']
    norms = [sum(v * v for v in row) ** 0.5 for row in first.tolist()]
    threshold = min(norms) + 0.25 * (max(norms) - min(norms))
    hook = dict(type='MaxNormHook', ratio=0.25, by_epoch=by_epoch)
    runner = run(
        'baselines/ce_resnet20_digits-lt.py',
        tmp_path / 'run',
        custom_hooks=[hook],
        load_from=str(stage1 / 'ce/epoch_2.pth'),
    )
    assert runner.message_hub.get_info('max_norm_threshold') == pytest.approx(threshold)
    for epoch in (1, 2):  # the checkpoints hold projected rows
        rows = weights(tmp_path / 'run', epoch)['head.classifier.weight']
        assert rows.norm(dim=1).max() <= threshold * (1 + 1e-6)


def test_max_norm_shortens_long_rows_and_leaves_short_ones():
    layer = torch.nn.Linear(2, 3)
    layer.weight.data = torch.tensor([[3.0, 4.0], [0.6, 0.8], [0.0, 0.0]])
    runner = type('R', (), {})()
    runner.model = torch.nn.Module()
    runner.model.head = torch.nn.Module()
    runner.model.head.classifier = layer
    runner.epoch, runner.message_hub = 0, MessageHub('max norm')
    hook = MaxNormHook(threshold=2.0)
    hook.before_train_epoch(runner)
    hook.before_train_iter(runner, 0)
    hook.after_train_epoch(runner)
    wanted = torch.tensor([[1.2, 1.6], [0.6, 0.8], [0.0, 0.0]])
    torch.testing.assert_close(layer.weight.data, wanted)
    assert runner.message_hub.get_info('max_norm_threshold') == 2.0


def test_max_norm_makes_long_normalised_rows_learn_faster():
    """The same logits after the projection, and a step whose angle goes as 1 / length^2."""
    torch.manual_seed(0)
    features, labels = torch.randn(8, 5).double(), torch.arange(8) % 3
    angles = []
    for length in (4.0, 1.0):
        layer = MODELS.build(dict(type='NormedLinear', in_features=5, out_features=3)).double()
        direction = torch.eye(3, 5).double()
        layer.weight.data = length * direction
        layer.bias.data.zero_()
        torch.testing.assert_close(layer(features), features @ direction.T)
        torch.nn.functional.cross_entropy(layer(features), labels).backward()
        moved = layer.weight.data - 1e-4 * layer.weight.grad
        sine = (moved / moved.norm(dim=1, keepdim=True) - direction).norm(dim=1)
        angles.append(sine)
    torch.testing.assert_close(
        angles[1] / angles[0], torch.full((3,), 16.0).double(), rtol=1e-3, atol=0
    )


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(ratio=1.5), r'ratio must be in \[0, 1\], got 1.5'),
        (dict(threshold=0), 'threshold must be > 0, got 0'),
        (dict(begin_epoch=-1), 'begin_epoch must be >= 0, got -1'),
    ],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        MaxNormHook(**options)


# --- Geometry, logged at validation ----------------------------------------------------------


def test_geometry_of_features_and_classifier_is_logged(stage1, tmp_path):
    counts = 'digits-lt-if50'
    runner = run(
        'bce3s/stage1_resnet20_digits-lt.py',
        tmp_path / 'run',
        1,
        load_from=str(stage1 / 'bce3s/epoch_2.pth'),
        custom_hooks=[dict(type='ClassifierGeometryHook', class_counts=counts)],
        val_evaluator=[
            dict(type='ShotAccuracy', class_counts=counts),
            dict(type='FeatureGeometry', class_counts=counts),
            dict(type='CalibrationError', class_counts=counts),
        ],
        **{'model.head.keep_features': True},
    )
    logged = {
        name.removeprefix('val/geometry/'): buffer.current()
        for name, buffer in runner.message_hub.log_scalars.items()
        if name.startswith('val/geometry/')
    }
    rows = weights(tmp_path / 'run', 1)['head.classifier.weight'].double()
    rows = rows - rows.mean(dim=0)
    cosine = torch.nn.functional.normalize(rows) @ torch.nn.functional.normalize(rows).T
    wanted = 100 * ((1 - cosine) / 2).sum(dim=1) / 9
    assert logged['classifier'] == pytest.approx(wanted.mean().item(), rel=1e-5)
    assert logged['classifier_std'] == pytest.approx(wanted.std(correction=0).item(), rel=1e-4)
    assert logged['classifier_few'] == pytest.approx(wanted[5:].mean().item(), rel=1e-5)
    assert 0 < logged['compactness'] <= 100
    assert 0 < logged['separability'] <= 100
