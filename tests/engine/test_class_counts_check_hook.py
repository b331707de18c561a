"""The class counts of head and metric against the labels of the training set."""

import pytest
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.datasets import build_dataset
from mmpretrain.registry import MODELS

import mmlt  # noqa: F401
from mmlt.datasets.labels import read_labels
from mmlt.engine.hooks import ClassCountsCheckHook

COUNTS = [20, 10, 6, 6, 5, 5, 4, 3, 3, 2]
SPLIT = dict(base=COUNTS, val_fraction=0.2)


def digits_runner(
    tmp_path, head_counts=COUNTS, metric_counts=COUNTS, num_classes=10, wrap=None, **loading
):
    pipeline = [dict(type='PackInputs')]
    train = dict(
        type='LongTailedDataset',
        class_counts=COUNTS,
        dataset=dict(type='DigitsLT', split='train', pipeline=pipeline),
    )
    loader = dict(batch_size=32, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    return Runner(
        model=dict(
            type='ImageClassifier',
            backbone=dict(type='CifarResNet', depth=20),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(
                type='TripartiteHead',
                num_classes=num_classes,
                in_channels=64,
                class_counts=head_counts,
            ),
            data_preprocessor=dict(type='ClsDataPreprocessor'),
        ),
        work_dir=str(tmp_path),
        train_dataloader=dict(loader, dataset=wrap(train) if wrap else train, **loading),
        val_dataloader=dict(loader, dataset=dict(type='DigitsLT', split='test', pipeline=pipeline)),
        val_evaluator=dict(type='ShotAccuracy', class_counts=metric_counts),
        val_cfg=dict(),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        custom_hooks=[dict(type='ClassCountsCheckHook')],
        default_scope='mmpretrain',
        experiment_name=tmp_path.name,
    )


def test_right_counts_train(tmp_path):
    runner = digits_runner(tmp_path)
    runner.train()
    assert runner.epoch == 1


@pytest.mark.parametrize('loading', [dict(), dict(num_batch_per_epoch=1)])
@pytest.mark.parametrize(
    ('wrap', 'counts'),
    [
        (lambda d: dict(type='MixPartnerDataset', dataset=d), COUNTS),
        (lambda d: dict(type='RepeatDataset', dataset=d, times=3), COUNTS),
        (lambda d: dict(d, class_counts=SPLIT), SPLIT),
        (lambda d: dict(type='MixPartnerDataset', dataset=dict(d, class_counts=SPLIT)), SPLIT),
    ],
    ids=['partners', 'repeated', 'validation split', 'both'],
)
def test_training_sets_with_partners_and_parts_are_counted(wrap, counts, loading, tmp_path):
    runner = digits_runner(tmp_path, counts, counts, wrap=wrap, **loading)
    assert len(runner.train_loop.dataloader.dataset) < 65 * 3
    hook = ClassCountsCheckHook()
    hook.before_train(runner)
    runner.model.head.class_counts[2] += 1
    with pytest.raises(ValueError, match='of the head.* in 1 of 10 classes .class 2: '):
        hook.before_train(runner)


def test_counts_of_the_base_are_not_those_of_its_training_part(tmp_path):
    runner = digits_runner(tmp_path, wrap=lambda d: dict(d, class_counts=SPLIT))
    with pytest.raises(ValueError, match='class 0: 20 in class_counts, 16 in the training set'):
        runner.train()


@pytest.mark.parametrize('owner', ['head', 'metric'])
def test_wrong_counts_stop_before_the_first_iteration(owner, tmp_path):
    wrong = COUNTS[:8] + [4, 2]
    runner = digits_runner(tmp_path, **{f'{owner}_counts': wrong})
    with pytest.raises(ValueError, match=rf'class_counts of the {owner}.* in 1 of 10 classes') as e:
        runner.train()
    assert 'class 8: 4 in class_counts, 3 in the training set' in str(e.value)
    assert runner.iter == 0


WRONG = COUNTS[::-1]


@pytest.mark.parametrize(
    ('part', 'named'),
    [
        (dict(type='CalibrationError', class_counts=WRONG), r'CalibrationError \(calibration\)'),
        (dict(type='FeatureGeometry', class_counts=WRONG), r'FeatureGeometry \(geometry\)'),
        (dict(type='ShotAccuracy', class_counts=WRONG, prefix='two'), r'ShotAccuracy \(two\)'),
    ],
)
@pytest.mark.parametrize('place', [0, 1])
def test_every_metric_is_compared(part, named, place, tmp_path):
    runner = digits_runner(tmp_path)
    metrics = [dict(type='ShotAccuracy', class_counts=COUNTS)]
    runner._val_evaluator = [*metrics[:place], part, *metrics[place:]]
    with pytest.raises(ValueError, match=f'class_counts of the metric {named} do not match'):
        runner.train()


def test_a_hook_is_compared(tmp_path):
    runner = digits_runner(tmp_path)
    runner.register_hook(dict(type='ClassifierGeometryHook', class_counts=WRONG))
    with pytest.raises(ValueError, match='class_counts of the hook ClassifierGeometryHook do not'):
        runner.train()


def test_every_expert_is_compared(tmp_path):
    experts = [dict(class_counts=COUNTS, joint='softmax'), dict(class_counts=WRONG)]
    runner = digits_runner(tmp_path)
    head = dict(type='ExpertsHead', num_classes=10, in_channels=64, head=experts)
    runner.model.head = MODELS.build(head)
    with pytest.raises(ValueError, match='class_counts of expert 1 do not match'):
        ClassCountsCheckHook().before_train(runner)


@pytest.mark.parametrize(
    'part',
    [
        dict(joint=dict(type='BalancedSoftmaxLoss', class_counts=COUNTS[::-1])),
        dict(margin=dict(class_counts=COUNTS[::-1])),
        dict(adjustment=dict(class_counts=COUNTS[::-1])),
        dict(joint=dict(type='ClassBalancedLoss', class_counts=COUNTS[::-1])),
    ],
)
def test_parts_with_counts_of_their_own_are_told(part, messages, monkeypatch):
    monkeypatch.setattr('mmlt.models.state._said', set())
    head = dict(type='DBMHead', num_classes=10, in_channels=4, class_counts=COUNTS)
    same = {name: dict(spec, class_counts=COUNTS) for name, spec in part.items()}
    MODELS.build(head | same)
    assert 'are not those of what it is a part of' not in ''.join(messages())
    MODELS.build(head | part)
    assert 'are not those of what it is a part of: its own count' in ''.join(messages())


def test_partners_around_repeated_images_are_counted_once(tmp_path):
    def wrap(train):
        return dict(type='MixPartnerDataset', dataset=dict(type='RepeatDataset', times=2,
                                                           dataset=train))  # fmt: skip

    runner = digits_runner(tmp_path, wrap=wrap)
    runner.train_loop  # noqa: B018  (builds the loader)
    ClassCountsCheckHook().before_train(runner)
    assert len(runner.train_dataloader.dataset) == 2 * sum(COUNTS)


@pytest.mark.parametrize(('counts', 'lines'), [(COUNTS, 0), (WRONG, 1)])
def test_groups_of_another_training_set_are_told_in_a_test(counts, lines, tmp_path, caplog):
    runner = digits_runner(tmp_path)
    runner._test_dataloader, runner._test_loop = runner._val_dataloader, dict()
    runner._test_evaluator = dict(type='ShotAccuracy', class_counts=counts)
    runner.logger.addHandler(caplog.handler)
    runner.test()
    told = [r.getMessage() for r in caplog.records if 'not those of the head' in r.getMessage()]
    assert len(told) == lines
    assert all('the metric ShotAccuracy (shot)' in line for line in told)


def test_label_beyond_the_head_is_named(tmp_path):
    runner = digits_runner(tmp_path, head_counts=None, num_classes=9)
    with pytest.raises(ValueError, match=r'labels 0 to 9, the head has num_classes=9'):
        runner.train()


def test_metric_with_too_few_classes_is_named(tmp_path):
    runner = digits_runner(tmp_path, metric_counts=COUNTS[:9])
    with pytest.raises(ValueError, match='has 9 classes, the training set has labels up to 9'):
        runner.train()


@pytest.mark.parametrize(
    'wrapper',
    [
        lambda d: dict(type='RepeatDataset', dataset=d, times=2),
        lambda d: dict(type='ConcatDataset', datasets=[d, d]),
    ],
)
def test_labels_are_counted_through_wrappers(wrapper):
    # mmengine's wrappers build what they wrap in the default scope, which a Runner would set.
    DefaultScope.get_instance('wrappers', scope_name='mmpretrain')
    inner = dict(type='DigitsLT', split='test', pipeline=[])
    labels = read_labels(build_dataset(wrapper(inner)))
    assert sorted(set(labels.tolist())) == list(range(10))
    assert len(labels) == 1200
