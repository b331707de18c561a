"""The contract of slots and the one rule by which a preset's defaults are merged."""

import copy
import io

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn as nn
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import mmlt.models.slots as mmlt_slots
from mmlt.models.build import build_part
from mmlt.models.losses import PairCriterion

K, D, N = 4, 6, 5
COUNTS = [40, 7, 90, 3]
LABELS = torch.tensor([0, 1, 3, 2, 0])


def build(kind='TripartiteHead', seed=1, **options):
    torch.manual_seed(seed)
    config = dict(type=kind, num_classes=K, in_channels=D, class_counts=COUNTS)
    return MODELS.build(config | options)


def samples(labels=LABELS):
    return [DataSample().set_gt_label(label) for label in labels.tolist()]


@pytest.fixture
def features():
    return torch.randn(N, D, generator=torch.Generator().manual_seed(0))


@MODELS.register_module()
class ToyDistillation(nn.Module):
    """A fourth comparison: the logits against a companion's."""

    wants = ('num_classes',)

    def __init__(self, num_classes, loss_weight=1.0):
        super().__init__()
        self.loss_weight = loss_weight
        self.num_classes = num_classes

    def forward(self, batch):
        student = batch.classifier(batch.views[0]).log_softmax(dim=1)
        return self.loss_weight * -(batch.companions['teacher'] * student).sum(dim=1).mean()


def test_a_fourth_comparison_is_a_slot_by_name(features):
    slot = dict(distillation=dict(type='ToyDistillation', loss_weight=0.5))
    head, plain = build('BCE3SHead', slots=slot), build('BCE3SHead')
    teacher = torch.rand(N, K).softmax(dim=1)
    torch.manual_seed(0)
    losses = head.loss((features,), samples(), teacher=teacher)
    torch.manual_seed(0)
    wanted = plain.loss((features,), samples())
    wanted['loss_distillation'] = (
        0.5 * -(teacher * head.classifier(features).log_softmax(1)).sum() / N
    )
    torch.testing.assert_close(losses, wanted)
    assert head.slots['distillation'].num_classes == K


# Preset, what the user gives, and what the head then has: (path, value) pairs.
MERGED = [
    ('BCE3SHead', dict(), {'joint.criterion.negative_ratio': 0.4, 'contrast.temperature': 1.0}),
    ('BCE3SHead', dict(joint=dict(loss_weight=2.0)), {'joint.criterion.negative_ratio': 0.4}),
    ('BCE3SHead', dict(joint='softmax'), {'joint.criterion': 'SoftmaxPairLoss'}),
    ('BCE3SHead', dict(negative_ratio=0.7), {'joint.criterion.negative_ratio': 0.7}),
    (
        'BCE3SHead',
        dict(contrast='softmax', contrast_weight=0.3),
        {'contrast.criterion': 'SoftmaxPairLoss', 'contrast.criterion.loss_weight': 0.3},
    ),
    (
        'BCE3SHead',
        dict(contrast=dict(soft_negatives=True)),
        {'contrast.criterion.loss_weight': 0.1},
    ),
    ('BCE3SHead', dict(neck=dict(out_channels=3)), {'contrast.reduction': 'sum'}),
    (
        'BCE3SHead',
        dict(neck=dict(type='PrototypeNeck'), contrast=dict(type='BalancedContrastiveLoss')),
        {'contrast': 'PrototypeNeck', 'contrast.criterion.loss_weight': 1.0},
    ),
    ('BCE3SHead', dict(contrast=None), {'uniform.criterion.loss_weight': 1.0}),
    ('DBMHead', dict(margin=dict(instance_weight=0.5)), {'joint.margin.instance_weight': 0.5}),
    ('DBMHead', dict(classifier=dict(scale=16.0)), {'classifier.scale': 16.0}),
    ('DBMHead', dict(margin=dict(type='LDAMMargin')), {'joint.margin': 'LDAMMargin'}),
    ('DBMHead', dict(margin=None), {'joint.margin': None, 'classifier.scale': 32.0}),
    ('BCLHead', dict(class_complement=False), {'contrast.criterion.class_complement': False}),
    ('BCLHead', dict(joint='softmax', joint_weight=1.0), {'joint.criterion.loss_weight': 1.0}),
    ('BCLHead', dict(contrast=dict(form='L3')), {'contrast.criterion.temperature': 0.1}),
]


@pytest.mark.parametrize(('kind', 'given', 'wanted'), MERGED)
def test_what_is_given_is_merged_and_another_type_replaces(kind, given, wanted):
    head = build(kind, **given)
    for path, value in wanted.items():
        part = head if path.startswith('classifier') else head.slots
        for name in path.split('.'):
            part = part[name] if isinstance(part, nn.ModuleDict) else getattr(part, name)
        assert (type(part).__name__ if isinstance(value, str) and isinstance(part, nn.Module)
                else part) == value  # fmt: skip


@pytest.mark.parametrize(
    ('kind', 'given', 'match'),
    [
        (
            'BCE3SHead',
            dict(contrast=None, contrast_weight=0.3),
            'contrast_weight=0.3 has no effect',
        ),
        ('BCE3SHead', dict(contrast=None, temperature=0.3), 'temperature=0.3 has no effect'),
        ('BCE3SHead', dict(uniform=None, uniform_weight=2), 'uniform is None'),
        ('BCE3SHead', dict(joint=nn.MSELoss(), negative_ratio=0.2), 'joint is a module, MSELoss'),
        (
            'BCE3SHead',
            dict(contrast=dict(loss_weight=0.2), contrast_weight=0.3),
            'contrast_weight=0.3 contradicts contrast.loss_weight=0.2',
        ),
        ('TripartiteHead', dict(neck=dict(out_channels=3)), 'neck has no effect without contrast'),
        ('TripartiteHead', dict(joint=None), 'joint must be a criterion, got None'),
        (
            'TripartiteHead',
            dict(slots=dict(joint=dict(type='ToyDistillation'))),
            "a name other than .'joint'.*got 'joint'",
        ),
        ('TripartiteHead', dict(slots={'a.b': dict(type='ToyDistillation')}), "got 'a.b'"),
        (
            'TripartiteHead',
            dict(contrast='sigmoid', neck=nn.Identity()),
            'the module given for neck has a criterion of its own',
        ),
    ],
)
def test_no_argument_is_silently_without_effect(kind, given, match):
    with pytest.raises(ValueError, match=match):
        build(kind, **given)


@pytest.mark.parametrize(
    ('kind', 'given', 'match'),
    [
        ('BCE3SHead', dict(joint='softmax', negative_ratio=0.2), 'argument .negative_ratio'),
        ('BCE3SHead', dict(temperatur=0.2), 'temperatur'),
        ('BCE3SHead', dict(neck=3), 'neck must be a config or a module, got 3'),
        (
            'TripartiteHead',
            dict(slots=dict(new=3)),
            'slots.new must be a config or a module, got 3',
        ),
        ('TripartiteHead', dict(negative_ratio=0.2), r"joint=dict\(type='SigmoidPairLoss', neg"),
        ('TripartiteHead', dict(logit_adjustment=1.0), r"adjustment=dict\(type='LogitAdjustment'"),
        ('DBMHead', dict(tau_normalization=1.0), r"classifier=dict\(type='TauNormLinear', tau"),
        ('BCE3SHead', dict(classifier=dict(type='Experts')), 'uniform compares class vectors'),
    ],
)
def test_wrong_arguments_say_what_to_write(kind, given, match):
    with pytest.raises(TypeError, match=match):
        build(kind, **given)


@MODELS.register_module()
class Experts(nn.Module):
    """Three classifiers whose mean is the prediction; it has no class vectors."""

    wants = ('in_features', 'out_features')

    def __init__(self, in_features, out_features):
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(in_features, out_features) for _ in range(3))

    def forward(self, features):
        return sum(part(features) for part in self.parts) / 3


def test_several_experts_contrast_with_the_bank(features):
    head = build(classifier=dict(type='Experts'), contrast='sigmoid', neck=dict(fill_epochs=0))
    losses = head.loss((features,), samples())
    assert set(losses) == {'loss_joint', 'loss_contrast'}
    assert head.slots['contrast'].filled.all()


def test_modules_serve_as_parts(features):
    layer = nn.Linear(D, K)
    head = build('BCE3SHead', classifier=layer, uniform=None)
    assert head.classifier is layer
    neck = build_part(dict(type='MemoryBankNeck'), in_channels=D, num_classes=K)
    head = build('BCE3SHead', neck=neck)
    assert head.slots['contrast'] is neck
    assert set(head.loss((features,), samples())) == {'loss_joint', 'loss_contrast', 'loss_uniform'}


@MODELS.register_module()
class PickyBalanced(PairCriterion):
    """A subclass with open arguments: it is handed what it wants, and nothing else."""

    wants = ('class_counts',)

    def __init__(self, class_counts, **kwargs):
        self.seen = sorted(kwargs)
        super().__init__()
        self.class_counts = class_counts

    def per_sample(self, similarity, target, negative_mask=None):
        return similarity.sum(dim=1)


def test_a_part_is_handed_what_its_class_wants_and_nothing_else():
    criterion = build(joint=dict(type='PickyBalanced')).loss_module
    assert (criterion.class_counts, criterion.seen) == (COUNTS, [])
    del PickyBalanced.wants
    try:
        with pytest.raises(TypeError, match='class_counts') as error:
            build(joint=dict(type='PickyBalanced'))
        assert 'attribute "wants"' in ''.join(error.value.__notes__)
    finally:
        PickyBalanced.wants = ('class_counts',)


@pytest.mark.parametrize('mode', ['eval', 'no_grad'])
def test_a_loss_that_is_not_trained_on_changes_no_state(mode, features):
    head = build('BCE3SHead')
    head.train(mode != 'eval')
    before = copy.deepcopy(head.state_dict())
    with torch.set_grad_enabled(mode != 'no_grad'):
        losses = head.loss((features,), samples())
    assert all(loss.isfinite() for loss in losses.values())
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
    head.train().loss((features,), samples())
    assert head.slots['contrast'].filled.all()


def test_mmpretrains_switch_recipe_hook_finds_and_sets_the_criterion(features):
    from mmpretrain.engine.hooks import SwitchRecipeHook

    runner = type('Runner', (), {})()
    runner.model = nn.Module()
    runner.model.head = build('DBMHead')
    smooth = MODELS.build(dict(type='LabelSmoothLoss', label_smooth_val=0.1))
    SwitchRecipeHook._switch_loss(runner, smooth)
    head = runner.model.head
    assert head.loss_module is smooth
    assert head.slots['joint'].criterion is smooth
    assert 'loss_module' not in dict(head.named_children())
    assert head.loss((features,), samples())['loss_joint'].isfinite()


# --- Checkpoints --------------------------------------------------------------------------------


def old_layout(state):
    """The names that a head had before it had slots."""
    return {name.replace('slots.contrast.', 'neck.'): value for name, value in state.items()}


def test_a_checkpoint_of_the_old_layout_loads_with_one_line(features, messages):
    head, other = build('BCE3SHead'), build('BCE3SHead', seed=2)
    head.loss((features,), samples())
    model = nn.ModuleDict(dict(head=other))
    state = {f'head.{name}': value for name, value in old_layout(head.state_dict()).items()}
    assert 'head.neck.bank' in state
    model.load_state_dict(copy.deepcopy(state))
    assert [line for line in messages() if 'head.slots' in line] == [
        '6 entries of a checkpoint of mmlt 0.1 are now under head.slots'
    ]
    for name, value in head.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_the_configs_class_counts_count(messages):
    stage1 = build(joint=dict(type='BalancedSoftmaxLoss'))
    all_images = [n + 10 for n in COUNTS]
    stage2 = build(joint=dict(type='BalancedSoftmaxLoss'), class_counts=all_images)
    stage2.load_state_dict(stage1.state_dict())
    assert stage2.class_counts.tolist() == all_images
    fresh = build(joint=dict(type='BalancedSoftmaxLoss'), class_counts=all_images)
    torch.testing.assert_close(stage2.loss_module.shift, fresh.loss_module.shift)
    assert [line for line in messages() if 'class_counts:' in line] == [
        "class_counts: the config's count, the checkpoint's differ: class 0 has "
        f'{COUNTS[0] + 10} images in the config, {COUNTS[0]} in the checkpoint'
    ]
    swapped = [*COUNTS[:2], COUNTS[3], COUNTS[2]]
    build(class_counts=swapped).load_state_dict(build().state_dict())
    assert messages()[-1].endswith(
        f'class 2 has {COUNTS[3]} images in the config, {COUNTS[2]} in the checkpoint'
    )


def test_a_checkpoints_class_counts_are_taken_where_the_config_has_none():
    head = build(class_counts=None)
    head.load_state_dict(build().state_dict())
    assert head.class_counts.tolist() == COUNTS
    assert head.state_dict()['class_counts'].tolist() == COUNTS


# --- Export -------------------------------------------------------------------------------------

TEST_TIME = {
    'adjusted': dict(classifier=dict(type='torch.nn.Linear'), adjustment=dict(tau=1.5)),
    'shifted': dict(adjustment=dict(target_class_counts=[5, 5, 1, 9])),
    'tau-normalised': dict(classifier=dict(type='TauNormLinear', tau=0.7)),
    'cosine': dict(classifier=dict(type='CosineLinear'), adjustment=dict()),
}


class Logits(nn.Module):
    """The head on one tensor."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, features):
        return self.head((features,))


@pytest.mark.parametrize('name', list(TEST_TIME))
def test_adjusted_heads_export(name, features):
    model = Logits(build(joint='softmax', **TEST_TIME[name])).eval()
    wanted = model(features)
    exported = torch.export.export(model, (features,)).module()
    torch.testing.assert_close(exported(features), wanted)
    file = io.BytesIO()
    torch.onnx.export(model, (features,), file, dynamo=False, input_names=['x'])
    session = onnxruntime.InferenceSession(file.getvalue(), providers=['CPUExecutionProvider'])
    (got,) = session.run(None, {'x': features.numpy()})
    np.testing.assert_allclose(got, wanted.detach().numpy(), rtol=1e-5, atol=1e-5)


def test_the_package_names_its_slots():
    ties = {'ExpertBatch', 'ExpertTie', 'HardCategoryMining', 'MutualDistillation'}
    beside = {'ClassQueue', 'CompanionOutput', 'DistillationSlot', 'MomentumQueue'}
    assert set(mmlt_slots.__all__) == {'Batch', 'JointSlot', 'UniformSlot'} | ties | beside


@pytest.mark.parametrize(
    ('kind', 'options'),
    [
        ('BCE3SHead', {}),
        ('BCLHead', {}),
        ('NCLHead', dict(num_experts=2)),
        ('TripartiteHead', dict(contrast='softmax', neck=dict(type='MomentumQueue', size=8))),
    ],
)
def test_the_start_of_a_slot_is_applied_inside_its_head(kind, options):
    start = dict(type='Constant', layer='Linear', val=0.25, bias=0.5)
    neck = dict(options.get('neck', {}), init_cfg=start)
    head = build(kind, **options | dict(neck=neck))
    head.init_weights()
    for one in getattr(head, 'experts', [head]):
        first = one.slots['contrast'].projector[0]
        assert (first.weight == 0.25).all()
        assert (first.bias == 0.5).all()
        assert one.classifier.weight.std() > 0  # that start is not the slot's


def test_a_slot_that_begins_from_a_missing_file_says_so():
    head = build('BCLHead', neck=dict(init_cfg=dict(type='Pretrained', checkpoint='none.pth')))
    with pytest.raises(FileNotFoundError, match=r'none\.pth'):
        head.init_weights()


@pytest.mark.parametrize('kind', ['BCE3SHead', 'BCLHead', 'GMLHead', 'NCLHead'])
def test_a_criterion_beside_the_heads_contrast_is_refused(kind):
    neck = dict(criterion=dict(type='SoftmaxPairLoss', loss_weight=0.3))
    with pytest.raises(ValueError, match='criterion has no effect: give it to the head, as contr'):
        build(kind, neck=neck)


@pytest.mark.parametrize('wrapped', [False, True])
def test_negatives_that_the_bank_would_not_draw_are_refused(wrapped):
    contrast = dict(type='SigmoidPairLoss', negative_ratio=0.4)
    contrast = dict(type='ClassBalancedLoss', criterion=contrast) if wrapped else contrast
    with pytest.raises(ValueError, match=r'contrast\.negative_ratio=0\.4 has no effect'):
        build('BCE3SHead', contrast=contrast)
    assert build('BCE3SHead').slots['joint'].criterion.negative_ratio == 0.4


def test_what_is_deleted_is_not_merged(tmp_path):
    (tmp_path / 'base.py').write_text("head = dict(type='BCE3SHead', num_classes=4)\n")
    (tmp_path / 'leaf.py').write_text(
        "_base_ = 'base.py'\nhead = dict(\n"
        "    joint=dict(_delete_=True, type='SigmoidPairLoss', loss_weight=2.0),\n"
        "    margin=dict(_delete_=True, type='DBMMargin'),\n"
        "    classifier=dict(_delete_=True, type='CosineLinear'))\n"
    )
    given = Config.fromfile(tmp_path / 'leaf.py').head.to_dict()
    head = build(given.pop('type'), **given)
    criterion = head.slots['joint'].criterion
    assert (criterion.loss_weight, criterion.negative_ratio) == (2.0, 1.0)  # the preset's is 0.4
    with pytest.raises(ValueError, match='_delete_=True deletes the defaults .* name a type in'):
        build('BCE3SHead', joint=dict(_delete_=True, loss_weight=2.0))


def test_more_views_than_there_are_is_no_number_of_views(features):
    with pytest.raises(ValueError, match='joint_views is 3, but the batch has 1 views'):
        build(joint_views=3).loss((features,), samples())


def test_images_of_several_labels_are_refused(features):
    head = build('BCE3SHead')
    several = [DataSample().set_gt_label([1, 3]), *samples()[1:]]
    with pytest.raises(ValueError, match=r'the images of this batch have \[1, 2\] labels'):
        head.loss((features,), several)
    # As mmpretrain's preprocessor writes them with to_onehot.
    for sample in several:
        score = torch.zeros(K, dtype=torch.long)
        score[sample.gt_label] = 1
        sample.set_gt_score(score)
    with pytest.raises(ValueError, match='multi-label data are not supported'):
        head.loss((features,), several)
