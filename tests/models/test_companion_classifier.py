"""Teacher and momentum encoder: what they see, what they never change, where they are not."""

import copy
import io

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from reference import gml, ncl

import mmlt  # noqa: F401
from mmlt.checkpoint import TRAINING_ONLY, CheckpointError, check_weights
from mmlt.models.targets import ViewSamples

K, N = 4, 4
COUNTS = [9, 5, 2, 1]
LABELS = torch.tensor([0, 1, 3, 2])
# CIFAR's: a float32 tensor does not hold these numbers exactly.
NORMALISATION = dict(mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255])
BACKBONE = dict(type='CifarResNet', depth=20)
TEACHER = dict(
    type='ImageClassifier',
    backbone=dict(type='CifarResNet', depth=20, width=2),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='TripartiteHead', num_classes=K, in_channels=128, joint='softmax',
              classifier=dict(type='CosineLinear', scale=30.0)),
)  # fmt: skip


def build(kind, teacher=None, head=None, seed=0, **options):
    torch.manual_seed(seed)
    parts = dict(
        type='CompanionClassifier',
        neck=dict(type='GlobalAveragePooling'),
        data_preprocessor=dict(type='MultiViewDataPreprocessor', views='pipeline', **NORMALISATION),
    )
    facts = dict(num_classes=K, in_channels=64, class_counts=COUNTS)
    if kind == 'ncl':
        parts |= dict(
            companions=dict(momentum=dict(type='MomentumEncoder', momentum=0.9)),
            backbone=dict(type='MultiExpertBackbone', num_experts=2, backbone=BACKBONE),
            head=dict(facts, type='NCLHead', num_experts=2, neck=dict(size=10), **(head or {})),
        )
    else:
        parts |= dict(
            views=(0, 1),
            companions=dict(
                teacher=dict(type='FrozenTeacher', model=TEACHER, views=(0, 2)) | (teacher or {})
            ),
            backbone=BACKBONE,
            head=dict(
                dict(facts, type='GMLHead', neck=dict(size=12, teacher_channels=128)),
                **(head or {}),
            ),
        )
    model = MODELS.build(parts | options)
    model.init_weights()
    return model


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A teacher's checkpoint, as a run writes it."""
    torch.manual_seed(9)
    model = MODELS.build(TEACHER)
    cfg = Config(dict(data_preprocessor=NORMALISATION)).pretty_text
    path = tmp_path_factory.mktemp('teacher') / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=cfg)), path)
    return str(path)


def data(views, seed=0):
    images = torch.randn(views * N, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    samples = [DataSample(metainfo=dict(sample_idx=i)) for i in range(N)]
    return images, ViewSamples(samples, (LABELS,) * views)


def total(losses):
    return sum(loss for name, loss in losses.items() if 'loss' in name)


def step(model, views, seed=0):
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.1, weight_decay=0.1)))
    losses = model(*data(views, seed), mode='loss')
    wrapper.update_params(total(losses))
    return losses


# --- The momentum encoder -----------------------------------------------------------------------


def encoder_of(model):
    return model.companions['momentum'].encoder


def test_the_momentum_encoder_starts_equal_and_follows_once_a_step():
    model = build('ncl')
    # Weights that change after it was built, as loading does.
    nn.init.normal_(model.backbone.experts[1].conv1.weight)
    source = dict(model.backbone.named_parameters())
    wanted = {name: value.flatten()[:5].tolist() for name, value in source.items()}
    for number in range(3):
        if number:
            now = {name: value.flatten()[:5].tolist() for name, value in source.items()}
            wanted = {name: ncl.follow(wanted[name], now[name], 0.9) for name in wanted}
        step(model, 2, number)
        for name, value in encoder_of(model).module[0].named_parameters():
            got = value.flatten()[:5].tolist()
            assert got == pytest.approx(wanted[name], rel=1e-4, abs=1e-6), name
    assert encoder_of(model).updates == 3


def test_the_keys_are_those_of_the_second_view_and_of_their_own_expert():
    model = build('ncl')
    images, samples = data(2)
    seen = {}
    for m, inner in enumerate(model.head.experts):
        slot = inner.slots['contrast']
        slot.write = lambda keys, m=m: seen.update({m: keys})
    model.loss(images, samples)
    twin = build('ncl')  # the encoder is equal in the first step, and in training mode
    feats = twin.extract_feat(images[N:])
    for m, inner in enumerate(twin.head.experts):
        keys = inner.slots['contrast'].projector(feats[m])
        torch.testing.assert_close(seen[m], nn.functional.normalize(keys))
    assert not torch.allclose(seen[0], seen[1])


@pytest.mark.parametrize('kind', ['ncl', 'gml'])
def test_of_several_stages_the_key_is_the_one_that_the_head_takes(kind, trained):
    backbone = dict(BACKBONE, out_indices=(1, 2))
    if kind == 'ncl':  # one head, no experts
        head = dict(type='TripartiteHead', num_classes=K, in_channels=64, contrast='softmax',
                    neck=dict(type='MomentumQueue', size=10))  # fmt: skip
        spec = dict(type='CompanionClassifier', backbone=backbone, head=head,
                    neck=dict(type='GlobalAveragePooling'),
                    companions=dict(momentum=dict(type='MomentumEncoder')))  # fmt: skip
        model, name = MODELS.build(spec), 'momentum'
    else:
        model, name = build('gml', dict(checkpoint=trained)), 'teacher'
        model.companions[name].prepare(model)
        model.companions[name].network.backbone.out_indices = (1, 2)
    images = data(3)[0].chunk(3)
    output = model.companions[name].observe(images, model)
    of = model if kind == 'ncl' else model.companions[name].network
    last = max(model.companions[name].views)
    wanted = of.extract_feat(images[last])
    assert len(wanted) == 2
    torch.testing.assert_close(output.key, wanted[-1])


def test_a_teacher_of_experts_shows_all_of_them():
    spec = dict(
        type='ImageClassifier',
        backbone=dict(type='MultiExpertBackbone', num_experts=2, backbone=BACKBONE),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='ExpertsHead', num_classes=K, in_channels=64, num_experts=2),
    )
    model = build('ncl', companions=dict(
        momentum=dict(type='FrozenTeacher', model=spec, in_checkpoint=True)))  # fmt: skip
    teacher = model.companions['momentum']
    teacher.loaded = True
    images, samples = data(2)
    output = teacher.observe(images.chunk(2), model)
    wanted = teacher.network.extract_feat(images[:N])
    for m in range(2):
        torch.testing.assert_close(output.of_expert(m, 2).key, wanted[m])
    one = dict(type='TripartiteHead', num_classes=K, in_channels=64)
    with pytest.raises(ValueError, match=r'features of \[2\] experts, the head has 1'):
        MODELS.build(one).loss((torch.rand(N, 64),), data(1)[1], teacher=output)


def test_its_batch_norm_follows_in_the_parameters_and_has_statistics_of_its_own():
    model = build('ncl')
    step(model, 2)
    own = encoder_of(model).module[0].experts[0].bn1
    assert own.training
    assert not torch.equal(own.running_mean, model.backbone.experts[0].bn1.running_mean)
    assert own.num_batches_tracked == 1
    model.eval()
    before = copy.deepcopy(model.state_dict())
    model.loss(*data(2, 5))
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_synchronised_batch_norm_is_so_in_the_encoder_too(monkeypatch):
    model = nn.SyncBatchNorm.convert_sync_batchnorm(build('ncl'))
    monkeypatch.setattr(nn.SyncBatchNorm, 'forward', lambda self, x: x)  # it needs a GPU
    model.loss(*data(2))
    kinds = {type(part) for part in encoder_of(model).modules() if hasattr(part, 'running_mean')}
    assert kinds == {nn.SyncBatchNorm}


def test_save_load_and_the_next_step_is_the_same():
    model, other = build('ncl'), build('ncl', seed=1)
    step(model, 2, 1)
    state = copy.deepcopy(model.state_dict())
    assert any(name.startswith('companions.momentum.encoder.module.0.experts.1') for name in state)
    check_weights(other, dict(state_dict=state), 'checkpoint')
    for name, loss in step(model, 2, 2).items():
        assert torch.equal(loss, step(copy.deepcopy(other), 2, 2)[name]), name
    step(other, 2, 2)
    found = other.state_dict()
    assert [n for n, v in model.state_dict().items() if not torch.equal(v, found[n])] == []


# --- The teacher --------------------------------------------------------------------------------


def test_the_teacher_is_bit_equal_after_a_step(trained):
    model = build('gml', dict(checkpoint=trained))
    model.train()
    before = torch.load(trained)['state_dict']
    for number in range(2):
        losses = step(model, 3, number)
        model.train()
    teacher = model.companions['teacher'].network
    assert not any(part.training for part in teacher.modules())
    found = teacher.state_dict()
    assert [name for name in before if not torch.equal(before[name], found[name])] == []
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert set(losses) == {'loss_joint', 'loss_contrast', 'loss_distillation'}
    total(model(*data(3), mode='loss')).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    'parts', [dict(), dict(margin=dict(type='DBMMargin', max_margin=0.3))], ids=['gml', 'dbm-gml']
)
def test_gml_is_its_equations(trained, parts):
    model = build('gml', dict(checkpoint=trained), parts).double()
    teacher = model.companions['teacher'].network
    images, samples = data(3)
    images = images.double()
    losses = model.loss(images, samples)
    labels = LABELS.tolist()
    twin = copy.deepcopy(model)
    a_cls, x_q = twin.extract_feat(images[: 2 * N])[0].chunk(2)
    with torch.no_grad():
        feats = teacher.extract_feat(torch.cat([images[:N], images[2 * N :]]))
        a_t, _ = teacher.head(feats).chunk(2)
    cosines = model.head.classifier.cosine(a_cls)
    z = (30 * cosines).tolist()
    if parts:
        z = ncl.dbm(cosines.tolist(), labels, COUNTS, 30.0, 0.3)
    wanted = dict(joint=gml.g4(z, labels, COUNTS))
    # Bare logits: no margin and no prior.
    wanted['distillation'] = gml.g5((30 * cosines).tolist(), a_t.tolist(), 4.0)
    slot = model.head.slots['contrast']
    torch.testing.assert_close(slot.queue[slot.image_ids >= 0].sum(0), feats[0][N:].sum(0))
    e = [gml.unit(row) for row in slot.embedding(x_q).tolist()]
    keys = [gml.unit(row) for row in slot.key_embedding(slot.queue).tolist()]
    classes = slot.slot_classes.tolist()
    wanted['contrast'] = gml.g2(e, keys, classes, labels, COUNTS, 0.1)
    wanted['contrast'] += gml.g3(
        e, keys, classes, labels, COUNTS, 0.1, range(N), slot.image_ids.tolist()
    )
    for name, value in wanted.items():
        assert losses[f'loss_{name}'].item() == pytest.approx(value, rel=1e-5), name


def test_distillation_depends_on_neither_labels_nor_counts(trained):
    model = build('gml', dict(checkpoint=trained), dict(margin=dict(type='DBMMargin')))
    other = build('gml', dict(checkpoint=trained), dict(class_counts=COUNTS[::-1]))
    images, samples = data(3)
    one = model.loss(images, samples)['loss_distillation']
    changed = ViewSamples(samples.samples, (LABELS.flip(0),) * 3)
    assert torch.equal(one, other.loss(images, changed)['loss_distillation'])


def test_the_temperature_has_no_weight_decay_in_the_configs(trained):
    model = build('gml', dict(checkpoint=trained))
    cfg = Config.fromfile('configs/gml/gml_resnet32_cifar100-lt-if100.py')
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    theta = model.head.slots['contrast'].log_temperature
    decays = {id(g['params'][0]): g['weight_decay'] for g in groups}
    assert decays.pop(id(theta)) == 0
    assert set(decays.values()) == {cfg.optim_wrapper.optimizer.weight_decay}


MISFITS = {
    'none': (lambda c: None, dict(checkpoint=None), 'has no checkpoint: train the teacher first'),
    'width': (
        lambda c: c,
        dict(model=dict(TEACHER, backbone=BACKBONE)),
        r'teacher .*pth does not fit the model: size mismatch for backbone.conv1.weight',
    ),
    'classes of the checkpoint': (
        lambda c: c['state_dict'].update({'head.classifier.weight': torch.ones(5, 128)}),
        dict(),
        r'does not fit the model: size mismatch for head.classifier.weight',
    ),
    'classes of the config': (
        lambda c: c,
        dict(model=dict(TEACHER, head=dict(TEACHER['head'], num_classes=7))),
        'the teacher has 7 classes, the student 4',
    ),
    'normalisation': (
        lambda c: c['meta'].update(cfg='data_preprocessor = dict(mean=[0, 0, 0], std=[1, 1, 1])'),
        dict(),
        r'with data_preprocessor.mean=\[0, 0, 0\], the student has \[125.307, 122.961, 113.85',
    ),
    'NaN': (
        lambda c: c['state_dict']['head.classifier.weight'].fill_(float('nan')),
        dict(),
        'weights that are NaN',
    ),
}


@pytest.mark.parametrize('name', MISFITS)
def test_a_teacher_that_does_not_fit_is_refused_before_training(name, trained, tmp_path):
    change, options, match = MISFITS[name]
    checkpoint = torch.load(trained)
    change(checkpoint)
    path = tmp_path / 'teacher.pth'
    torch.save(checkpoint, path)
    spec = dict(checkpoint=str(path), model=TEACHER) | options
    parts = build('gml', dict(checkpoint=trained))
    model = copy.copy(parts)
    model.companions = dict(teacher=MODELS.build(dict(spec, type='FrozenTeacher')))
    with pytest.raises((ValueError, CheckpointError), match=match):
        model.init_weights()


def test_a_teacher_in_the_checkpoint_needs_no_file_to_go_on(trained, tmp_path):
    model = build('gml', dict(checkpoint=trained, in_checkpoint=True))
    state = copy.deepcopy(model.state_dict())
    assert any(name.startswith('companions.teacher.network.') for name in state)
    other = build('gml', dict(in_checkpoint=True), seed=1)
    with pytest.raises(ValueError, match='has no weights: none were resumed'):
        other.loss(*data(3))
    check_weights(other, dict(state_dict=state), 'checkpoint')
    wanted, got = model.loss(*data(3)), other.loss(*data(3))
    assert torch.equal(wanted['loss_distillation'], got['loss_distillation'])


# --- No part of the model -----------------------------------------------------------------------


@pytest.mark.parametrize('kind', ['ncl', 'gml'])
def test_a_companion_is_in_no_optimizer_and_no_list_of_the_model(kind, trained):
    model = build(kind, dict(checkpoint=trained))
    views = dict(ncl=2, gml=3)[kind]
    step(model, views)
    (companion,) = model.companions.values()
    own = {id(p) for p in companion.parameters()}
    assert len(own) > 50
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.1)))
    for listed in (
        model.parameters(),
        model.buffers(),
        [p for group in wrapper.optimizer.param_groups for p in group['params']],
    ):
        assert not own & {id(p) for p in listed}
    assert not any(part is companion for part in model.modules())
    names = [name for name in model.state_dict() if name.startswith('companions.')]
    assert bool(names) == (kind == 'ncl')


@pytest.mark.parametrize('kind', ['ncl', 'gml'])
def test_the_model_leaves_for_onnx_and_predicts_without_companions(kind, trained):
    model = build(kind, dict(checkpoint=trained)).eval()
    images = torch.rand(2, 3, 8, 8)
    wanted = model(images)
    file = io.BytesIO()
    torch.onnx.export(model, (images,), file, dynamo=False, input_names=['x'])
    session = onnxruntime.InferenceSession(file.getvalue(), providers=['CPUExecutionProvider'])
    (got,) = session.run(None, {'x': images.numpy()})
    np.testing.assert_allclose(got, wanted.detach().numpy(), rtol=1e-4, atol=1e-4)
    state = {n: v for n, v in model.state_dict().items()
             if not n.startswith('companions.') and 'contrast' not in n}  # fmt: skip
    torch.manual_seed(3)
    # Published: neither the teacher's file nor the encoder's weights, and the same prediction.
    spec = dict(type='FrozenTeacher', model=TEACHER, checkpoint='nowhere.pth')
    spec = spec if kind == 'gml' else dict(type='MomentumEncoder')
    other = copy.deepcopy(model)
    other.companions = dict(companion=MODELS.build(spec))
    other.companions['companion'].attach(other)
    for parameter in other.parameters():
        nn.init.zeros_(parameter.data)
    check_weights(other, dict(state_dict=state), 'published', missing=TRAINING_ONLY)
    assert torch.equal(other(images), wanted)


def test_an_ema_of_the_model_shares_the_teacher(trained):
    model = build('gml', dict(checkpoint=trained))
    ema = ExponentialMovingAverage(model)
    assert ema.module.companions['teacher'] is model.companions['teacher']
    step(model, 3)
    ema.update_parameters(model)
    assert not any('teacher' in name for name in ema.state_dict())
    assert EMAHook  # the hook swaps these state dicts


def test_views_that_nobody_makes_are_refused(trained):
    model = build('ncl')
    with pytest.raises(ValueError, match=r'companions.momentum.views is \(1,\), but .* 1 views'):
        model.loss(*data(1))
    model = build('gml', dict(checkpoint=trained))
    with pytest.raises(ValueError, match=r'companions.teacher.views is \(0, 2\), but .* 2 views'):
        model.loss(*data(2))


def test_mixtures_that_the_companion_alone_sees_are_distilled_but_not_remembered(trained):
    images, samples = data(3)
    soft = nn.functional.one_hot(LABELS, K) * 0.7 + 0.3 * nn.functional.one_hot(LABELS.flip(0), K)
    mixed = ViewSamples(samples.samples, (LABELS, LABELS, soft))
    with pytest.raises(ValueError, match=(
        "contrast remembers view 2 of the companion 'teacher', which needs one label an image, but "
        r'.* let the last of model.companions.teacher.views be .* views=\(0,\)'
    )):  # fmt: skip
        build('gml', dict(checkpoint=trained)).loss(images, mixed)
    plain = build('gml', dict(checkpoint=trained, views=(0, 1))).loss(images, mixed)
    assert plain['loss_contrast'].isfinite()
    # One-hot scores are labels written in another way.
    pure = ViewSamples(samples.samples, (LABELS, LABELS, nn.functional.one_hot(LABELS, K).float()))
    build('gml', dict(checkpoint=trained)).loss(images, pure)
    distilled = build('gml', dict(checkpoint=trained), dict(contrast=None, neck=None))
    assert set(distilled.loss(images, mixed)) == {'loss_joint', 'loss_distillation'}


def test_statistics_of_training_batches_are_those_of_the_models_own_views(trained):
    """PreciseBNHook calls the model with them, for its logits."""
    for kind, views, own in (('ncl', 2, 1), ('gml', 3, 2)):
        model = build(kind, dict(checkpoint=trained)).eval()
        images, samples = data(views)
        assert torch.equal(model(images, samples), model(images[: own * N]))


@pytest.mark.parametrize(
    ('options', 'error', 'match'),
    [
        (dict(views=(1,)), ValueError, r'views must begin with 0, the plain view, got \(1,\)'),
        (dict(views=(0, 0)), ValueError, 'views must be different integers'),
        (dict(views='all'), TypeError, "views must be a list of views, .* got 'all'"),
        (dict(companions=dict()), ValueError, "companions has none: take type='ImageClassifier'"),
        (
            dict(companions=dict(teacher=dict(type='torch.nn.Identity'))),
            TypeError,
            'companions.teacher must be a FrozenTeacher, .* got Identity',
        ),
        (
            dict(companions=dict(m=dict(type='MomentumEncoder', momentum=1.0))),
            ValueError,
            r'momentum must be in \[0, 1\), got 1.0',
        ),
        (
            dict(companions=dict(t=dict(type='FrozenTeacher', model='teacher.py'))),
            TypeError,
            "model must be the config of the teacher, with a type, got 'teacher.py'",
        ),
    ],
)
def test_bad_arguments_are_refused(options, error, match):
    with pytest.raises(error, match=match):
        build('ncl', **options)


def test_the_stock_classifier_says_what_is_missing():
    spec = dict(type='NCLHead', num_classes=K, in_channels=64, class_counts=COUNTS)
    with pytest.raises(ValueError, match="MomentumQueue needs the companion 'momentum'"):
        MODELS.build(spec).loss((torch.rand(N, 64),) * 3, data(1)[1])


def test_a_student_of_fewer_parts():
    """No distillation, as on ImageNet-LT; no queue, plain distillation."""
    facts = dict(num_classes=K, in_channels=64, class_counts=COUNTS)
    head = MODELS.build(dict(facts, type='GMLHead', distillation_weight=0, queue_size=8))
    assert sorted(head.slots) == ['contrast', 'joint']
    head = MODELS.build(dict(facts, type='GMLHead', contrast=None, distillation_weight=0.5))
    assert sorted(head.slots) == ['distillation', 'joint']
    assert head.slots['distillation'].loss_weight == 0.5
    with pytest.raises(ValueError, match='queue_size=8 has no effect'):
        MODELS.build(dict(facts, type='GMLHead', contrast=None, queue_size=8))
    with pytest.raises(ValueError, match='size must be at least 8'):
        MODELS.build(dict(facts, type='GMLHead', queue_size=7))
