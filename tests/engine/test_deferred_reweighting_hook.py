"""Deferred re-weighting in whole runs on the digits: the losses, a resume, the errors."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import MODELS

import mmlt
from mmlt.models.losses import PairCriterion

CONFIGS = Path(__file__).parents[2] / 'configs'
COUNTS = mmlt.load_class_counts('digits-lt-if50')
HEADS = {
    'CE': dict(type='TripartiteHead', joint='softmax', classifier=dict(type='torch.nn.Linear')),
    'DBM': dict(type='DBMHead', scale=16.0),
    'BCE3S': dict(type='BCE3SHead', negative_ratio=1.0),
}


def run(work_dir, head, max_epochs=3, begin_epoch=1, resume=False, **kwargs) -> Runner:
    """Cross-entropy's recipe on the digits, a few epochs, with another head and the hook."""
    cfg = Config.fromfile(CONFIGS / 'baselines/ce_resnet20_digits-lt.py')
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f'{work_dir.name}-{max_epochs}'
    cfg.resume = resume
    cfg.train_cfg.update(max_epochs=max_epochs, val_interval=9)
    cfg.param_scheduler = []
    cfg.default_hooks.checkpoint.max_keep_ckpts = -1
    defaults = dict(num_classes=10, in_channels=64)
    if head['type'] != 'LinearClsHead':
        defaults['class_counts'] = 'digits-lt-if50'
    cfg.model.head = defaults | head
    cfg.custom_hooks = [dict(type='DeferredReweightingHook', begin_epoch=begin_epoch, **kwargs)]
    return Runner.from_cfg(cfg)


def states(work_dir, epoch) -> dict:
    return torch.load(work_dir / f'epoch_{epoch}.pth', weights_only=True)


class Record(Hook):
    """The logits and labels that the joint criterion saw, and the loss that the log got."""

    def __init__(self):
        self.steps = []

    def before_train_epoch(self, runner):
        self.seen = []
        criterion = runner.model.head.loss_module
        self.handle = criterion.register_forward_pre_hook(lambda _, args: self.seen.append(args))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        logits, labels = self.seen.pop()
        self.steps.append((runner.epoch, logits.detach(), labels, outputs['loss_joint']))

    def after_train_epoch(self, runner):
        self.handle.remove()


def expected_loss(logits, labels, weights, average, sigmoid=False):
    """The weighted mean of the samples' losses, sample by sample."""
    total = sum_of_weights = 0.0
    for row, label in zip(logits.double(), labels.tolist()):
        if sigmoid:
            losses = [nn.functional.softplus(-s if k == label else s) for k, s in enumerate(row)]
            loss = sum(losses)
        else:
            loss = torch.logsumexp(row, 0) - row[label]
        total += weights[label] * loss
        sum_of_weights += weights[label]
    return total / (sum_of_weights if average == 'weights' else len(labels))


@pytest.mark.parametrize(
    ('name', 'average', 'beta'),
    [('CE', 'weights', 0.9999), ('CE', 'samples', 0.99), ('DBM', 'weights', 0.9999),
     ('BCE3S', 'samples', 0.999)],
)  # fmt: skip
def test_loss_is_plain_before_and_weighted_from_begin_epoch(name, average, beta, tmp_path):
    record = Record()
    runner = run(tmp_path, HEADS[name], average=average, beta=beta)
    runner.register_hook(record)
    runner.train()
    weights = [(1 - beta) / (1 - beta**count) for count in COUNTS]
    weights = [10 * weight / sum(weights) for weight in weights]
    assert {epoch for epoch, *_ in record.steps} == {0, 1, 2}
    for epoch, logits, labels, loss in record.steps:
        now, mean = (weights, average) if epoch >= 1 else ([1.0] * 10, 'samples')
        expected = expected_loss(logits, labels, now, mean, sigmoid=name == 'BCE3S')
        torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope='module')
def whole_run(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('whole')
    run(work_dir, HEADS['DBM'], begin_epoch=2).train()
    return work_dir


@pytest.mark.parametrize('stop', [1, 2], ids=['before', 'at the switch'])
def test_resumed_run_equals_unbroken_run(stop, whole_run, tmp_path):
    run(tmp_path, HEADS['DBM'], max_epochs=stop, begin_epoch=2).train()
    run(tmp_path, HEADS['DBM'], begin_epoch=2, resume=True).train()
    unbroken, broken = states(whole_run, 3)['state_dict'], states(tmp_path, 3)['state_dict']
    assert unbroken.keys() == broken.keys()
    assert all(torch.equal(unbroken[key], broken[key]) for key in unbroken)


def test_run_resumed_behind_the_switch_equals_unbroken_run(tmp_path):
    """Every epoch after the switch, however many: the first one of a resumed run too."""
    (tmp_path / 'whole').mkdir()
    run(tmp_path / 'whole', HEADS['CE'], begin_epoch=1).train()
    (tmp_path / 'broken').mkdir()
    run(tmp_path / 'broken', HEADS['CE'], begin_epoch=1, max_epochs=2).train()
    resumed = run(tmp_path / 'broken', HEADS['CE'], begin_epoch=1, resume=True)
    resumed.train()
    unbroken, broken = (states(tmp_path / d, 3)['state_dict'] for d in ('whole', 'broken'))
    assert unbroken.keys() == broken.keys()
    assert all(torch.equal(unbroken[key], broken[key]) for key in unbroken)
    criterion = resumed.model.head.loss_module
    assert (type(criterion).__name__, type(criterion.criterion).__name__) == (
        'ClassBalancedLoss', 'SoftmaxPairLoss')  # fmt: skip


def test_weights_change_the_training_but_no_name_in_the_checkpoint(whole_run, tmp_path):
    run(tmp_path, HEADS['DBM'], begin_epoch=9).train()
    weighted, plain = states(whole_run, 3)['state_dict'], states(tmp_path, 3)['state_dict']
    assert weighted.keys() == plain.keys()
    assert not torch.equal(weighted['head.classifier.weight'], plain['head.classifier.weight'])
    # Two epochs without the weights are two epochs of the plain run.
    first, second = (states(d, 2)['state_dict'] for d in (whole_run, tmp_path))
    assert all(torch.equal(first[key], second[key]) for key in first)


class Stateful(PairCriterion):
    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))

    def per_sample(self, similarity, target, negative_mask=None):
        return self.shift.expand(len(similarity))


@pytest.mark.parametrize(
    ('head', 'message'),
    [
        (dict(type='LinearClsHead'), 'head with class_counts, LinearClsHead has none'),
        (dict(HEADS['CE'], class_counts=None), 'head with class_counts, TripartiteHead has none'),
        (dict(HEADS['CE'], joint=dict(type='ClassBalancedLoss')), 'would weigh it twice'),
        (
            dict(HEADS['CE'], joint=dict(type='LabelSmoothLoss', label_smooth_val=0.1)),
            'needs a PairCriterion, which takes weights, got LabelSmoothLoss',
        ),
    ],
)
def test_wrong_heads_and_criteria_stop_before_the_first_iteration(head, message, tmp_path):
    runner = run(tmp_path, head, begin_epoch=2)
    with pytest.raises(TypeError, match=message):
        runner.train()
    assert runner.iter == 0


def test_criterion_with_a_state_of_its_own_is_refused(tmp_path):
    runner = run(tmp_path, HEADS['CE'], begin_epoch=2)
    runner.model.head.loss_module = Stateful()
    with pytest.raises(TypeError, match=r"Stateful keeps \['shift'\] in the checkpoint"):
        runner.train()
    assert runner.iter == 0


def test_wrapped_models_are_reached_and_wrapped_once():
    head = MODELS.build(dict(HEADS['CE'], num_classes=10, in_channels=64, class_counts=COUNTS))
    model = nn.Module()
    model.head = head
    runner = SimpleNamespace(model=nn.DataParallel(model), epoch=0, hooks=[])
    hook = mmlt.engine.hooks.DeferredReweightingHook(begin_epoch=400)
    names = list(head.state_dict())
    for epoch in (0, 399, 400, 401, 1000):
        runner.epoch = epoch
        hook.before_train_epoch(runner)
        assert type(head.loss_module).__name__ == (
            'ClassBalancedLoss' if epoch >= 400 else 'SoftmaxPairLoss'
        )
    assert type(head.loss_module.criterion).__name__ == 'SoftmaxPairLoss'
    assert list(head.state_dict()) == names
    assert head.to('meta').loss_module.class_weight.is_meta  # moves with the model


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [(dict(begin_epoch=-1), 'begin_epoch must be >= 0, got -1'),
     (dict(begin_epoch=0, beta=1.0), 'beta'),
     (dict(begin_epoch=0, average='classes'), "average must be 'samples' or 'weights'")],
)  # fmt: skip
def test_bad_arguments_are_told_at_once(kwargs, message):
    with pytest.raises(ValueError, match=message):
        mmlt.engine.hooks.DeferredReweightingHook(**kwargs)


def test_a_sum_cannot_be_averaged_over_weights_and_is_told_before_the_first_iteration(tmp_path):
    head = HEADS['CE'] | dict(joint=dict(type='SoftmaxPairLoss', reduction='sum'))
    with pytest.raises(ValueError, match="criterion.reduction is 'sum'"):
        run(tmp_path, head).train()
    assert not list(tmp_path.glob('epoch_*'))


@pytest.mark.parametrize('update_buffers', [False, True])
def test_an_average_of_a_head_with_batch_norm_is_switched_too(update_buffers, tmp_path):
    # BCL's projectors have BatchNorm behind the joint slot: their buffers must stay in step.
    def train(name, begin_epoch):
        cfg = Config.fromfile(CONFIGS / 'bcl/resnet20_digits-lt.py')
        cfg.work_dir, cfg.experiment_name = str(tmp_path / name), f'{name}-{update_buffers}'
        cfg.train_cfg.update(max_epochs=2, val_interval=9)
        cfg.custom_hooks = [
            dict(type='DeferredReweightingHook', begin_epoch=begin_epoch),
            dict(type='EMAHook', momentum=0.5, update_buffers=update_buffers),
        ]
        cfg.model.head.joint = 'softmax'
        runner = Runner.from_cfg(cfg)
        runner.train()
        return states(tmp_path / name, 2)['state_dict'], runner

    plain, _ = train('plain', 9)
    switched, runner = train('switched', 1)
    average = next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook').ema_model
    own, averaged = dict(runner.model.named_buffers()), dict(average.module.named_buffers())
    assert list(own) == list(averaged)
    assert plain.keys() == switched.keys()
    assert not torch.equal(plain['head.classifier.weight'], switched['head.classifier.weight'])
    if not update_buffers:
        assert all(torch.equal(own[name], averaged[name]) for name in own)


@pytest.mark.parametrize('config', ['dbm/dbm-drw', 'baselines/ldam-drw', 'baselines/ce-drw'])
@pytest.mark.parametrize('data', ['cifar10', 'cifar100'])
def test_shipped_configs_switch_after_160_of_200_epochs(config, data):
    cfg = Config.fromfile(CONFIGS / f'{config}_resnet32_{data}-lt-if100.py')
    assert cfg.default_hooks.reweighting == dict(type='DeferredReweightingHook', begin_epoch=160)
    assert cfg.train_cfg.max_epochs == 200
