"""A frozen backbone with a tuner: what is trained, what checkpoints hold, on what they load."""

import copy
import io
import uuid

import onnxruntime
import pytest
import torch
from mmengine.dataset import DefaultSampler, pseudo_collate
from mmengine.hooks import EMAHook, Hook
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import mmlt  # noqa: F401
from mmlt.checkpoint import CheckpointError, check_weights

ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=32)
VIT = dict(type='VisionTransformer', arch=ARCH, img_size=16, patch_size=8)
HEAD = dict(
    type='DBMHead', num_classes=3, in_channels=24, class_counts=[9, 5, 2],
    joint=dict(type='BalancedSoftmaxLoss'),
)  # fmt: skip
IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
SAMPLES = [DataSample().set_gt_label(k) for k in (0, 2, 1, 0)]


def build(tuner='AdaptFormer', base=None, seed=0, **options):
    torch.manual_seed(seed)
    vit = dict(VIT)
    if base:
        vit['init_cfg'] = dict(type='Pretrained', checkpoint=str(base), prefix='backbone.')
    spec = dict(type=tuner, **(dict(width=4) if tuner == 'AdaptFormer' else {}))
    return MODELS.build(
        dict(type='TunedClassifier', tuner=spec, backbone=vit, head=HEAD, **options)
    )


@pytest.fixture(scope='module')
def bases(tmp_path_factory):
    """Two foundations: checkpoints of plain classifiers."""
    folder = tmp_path_factory.mktemp('bases')
    paths = []
    for seed in range(2):
        torch.manual_seed(seed)
        model = MODELS.build(dict(type='ImageClassifier', backbone=VIT))
        for parameter in model.parameters():
            parameter.data.normal_(std=0.3)
            parameter.data.view(-1)[0] = -0.0  # an average makes another zero of it
        paths.append(folder / f'base{seed}.pth')
        torch.save(dict(state_dict=model.state_dict()), paths[-1])
    return paths


def train(model, steps=2):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        sum(model(IMAGES, SAMPLES, mode='loss').values()).backward()
        optimizer.step()
    return model.eval()


def started(**options):
    model = build(**options)
    model.init_weights()
    return model


def predict(model):
    return model.head(model.extract_feat(IMAGES))


def test_nothing_loaded_is_refused_before_it_is_trained_on(bases):
    model = build()
    model.init_weights()
    with pytest.raises(ValueError, match='freezes a backbone that nothing has trained'):
        train(model)
    model.load_state_dict(torch.load(bases[0])['state_dict'], strict=False)
    train(model)
    train(started(base=bases[0]))


def test_one_line_says_what_is_trained(bases):
    model = started(base=bases[0])
    adapters = 2 * (2 * 24 * 4 + 4 + 24 + 48 + 1)
    base = sum(p.numel() for p in model.backbone.parameters())
    assert model.describe() == (
        f"AdaptFormer trains {adapters} parameters ({adapters / base:.2%} of the backbone's "
        f'{base:,}, of which {base:,} are frozen), the head 72'
    )
    biases = sum(p.numel() for n, p in model.backbone.named_parameters() if n.endswith('bias'))
    text = build('BitFit').describe()
    assert f'trains {biases} parameters' in text
    assert f'of which {base - biases:,} are frozen' in text


@pytest.mark.parametrize('tuner', ['AdaptFormer', 'BitFit', 'VisualPrompts', 'LinearProbe'])
def test_trained_part_alone_is_saved_and_finds_its_base(tuner, bases):
    model = train(started(tuner=tuner, base=bases[0], saved='trained'))
    state = model.state_dict()
    frozen = {f'backbone.{name}' for name in model.frozen()}
    assert not frozen & state.keys()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert state.keys() == trained | {'backbone_sha256', 'head.class_counts'}
    # A test builds the model without initialising it: the base is loaded when it is needed.
    again = build(tuner, base=bases[0], seed=5).eval()
    assert check_weights(again, dict(state_dict=state), 'tuned.pth') == []
    assert torch.equal(predict(again), predict(model))
    assert again.backbone_sha256() == model.backbone_sha256()
    # What holds everything takes and gives the same weights.
    assert again.state_dict().keys() == trained | frozen | {'head.class_counts'}


def test_another_base_is_refused(bases):
    state = train(started(base=bases[0], saved='trained')).state_dict()
    wanted = bytes(state['backbone_sha256'].tolist()).hex()
    with pytest.raises(
        CheckpointError, match=f'SHA-256 {wanted[:16]}.*base1.pth, is [0-9a-f]{{16}}'
    ):
        build(base=bases[1]).load_state_dict(state)
    with pytest.raises(CheckpointError, match='names no checkpoint. Set model.backbone.init_cfg'):
        build().load_state_dict(state)
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        build(base='gone.pth').load_state_dict(state)
    # Whatever differs is another base: one number, or the type of the numbers.
    model = started(base=bases[0])
    before = model.backbone_sha256()
    assert model.double().backbone_sha256() != before
    assert model.float().backbone_sha256() == before


def test_whole_checkpoint_is_that_of_the_plain_classifier(bases):
    model = train(started(base=bases[0]))
    plain = MODELS.build(dict(type='ImageClassifier', backbone=VIT, head=HEAD))
    found = plain.load_state_dict(model.state_dict(), strict=False)
    assert not found.missing_keys
    assert {name.split('.')[0] for name in found.unexpected_keys} == {'tuner'}


@pytest.mark.parametrize('tuner', ['AdaptFormer', 'LoRA', 'SSF', 'VisualPrompts', 'BitFit'])
def test_copies_of_a_model_have_tuners_of_their_own(tuner, bases):
    """An EMA is a deep copy: hooks that held the first model would train one and test the other."""
    model = started(tuner=tuner, base=bases[0])
    before = predict(model.eval())
    average = ExponentialMovingAverage(model, momentum=0.5)
    copied = copy.deepcopy(model)
    train(model)
    assert torch.equal(predict(copied), before)
    assert not torch.equal(predict(model), before)
    average.update_parameters(model)  # the first update copies
    average.update_parameters(model)
    average.eval()
    torch.testing.assert_close(predict(average.module), predict(model))
    assert all(
        torch.equal(value, model.frozen()[name]) for name, value in average.module.frozen().items()
    )
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert torch.equal(predict(torch.load(file, weights_only=False)), predict(model))


class Seen(Hook):
    """The frozen backbones, and hashes, of the model and of its average, as they are validated."""

    priority = 'LOW'  # after the EMAHook

    def __init__(self):
        self.frozen, self.hashes = [], set()

    def before_val_epoch(self, runner):
        average = next(h for h in runner.hooks if isinstance(h, EMAHook)).ema_model.module
        for model in (runner.model, average):
            self.frozen.append({k: value.clone() for k, value in model.frozen().items()})
            self.hashes.add(model.backbone_sha256())


GUARDED = dict(default_hooks=dict(idle_slot=dict(type='mmpretrain.IdleSlotHook')))


def run(folder, base, ema, tuner='AdaptFormer', epochs=3, hooks=(), **options):
    """A training of four images in two batches, with an EMA."""
    images = [dict(inputs=255 * i, data_samples=s) for i, s in zip(IMAGES, SAMPLES)]
    loader = dict(dataset=images, sampler=dict(type=DefaultSampler, shuffle=False), batch_size=2,
                  collate_fn=pseudo_collate)  # fmt: skip
    runner = Runner(
        model=build(tuner, base=base, saved='trained'), work_dir=str(folder),
        train_dataloader=loader, train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(constructor='mmpretrain.TrainedParametersConstructor',
                           optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        val_dataloader=loader, val_cfg={},
        val_evaluator=dict(type='mmpretrain.Accuracy'),
        custom_hooks=[dict(type='EMAHook', **ema), *hooks],
        default_scope='mmpretrain', experiment_name=uuid.uuid4().hex, log_level='ERROR', **options,
    )  # fmt: skip
    runner.train()


@pytest.mark.parametrize(
    'ema',
    [
        dict(momentum=0.3),
        dict(momentum=0.3, update_buffers=True),
        dict(momentum=0.3, begin_epoch=2),
        dict(ema_type='StochasticWeightAverage', begin_epoch=2, update_buffers=True),
    ],
    ids=['ema', 'buffers', 'later', 'swa, later, buffers'],
)
def test_average_of_trained_parts_has_the_loaded_backbone(ema, bases, tmp_path):
    base = {
        name.removeprefix('backbone.'): value
        for name, value in torch.load(bases[0])['state_dict'].items()
    }
    wanted = started(base=bases[0]).backbone_sha256()
    seen = Seen()
    run(tmp_path / 'unbroken', bases[0], ema, hooks=[seen])
    assert len(seen.frozen) == 6
    for frozen in seen.frozen:
        assert frozen.keys() == base.keys()
        assert all(torch.equal(value, base[name]) for name, value in frozen.items())
    assert seen.hashes == {wanted}
    whole = torch.load(tmp_path / 'unbroken/epoch_3.pth', weights_only=True)
    for state, prefix in ((whole['state_dict'], ''), (whole['ema_state_dict'], 'module.')):
        assert bytes(state[f'{prefix}backbone_sha256'].tolist()).hex() == wanted
    averaged, last = (
        whole[key][f'{prefix}tuner.adapters.0.up.weight']
        for key, prefix in (('state_dict', ''), ('ema_state_dict', 'module.'))
    )
    assert not torch.equal(averaged, last)
    run(tmp_path / 'broken', bases[0], ema, epochs=2)
    last = str(tmp_path / 'broken/epoch_2.pth')
    run(tmp_path / 'broken', bases[0], ema, hooks=[seen], load_from=last, resume=True)
    assert seen.hashes == {wanted}
    again = torch.load(tmp_path / 'broken/epoch_3.pth', weights_only=True)
    for key in ('state_dict', 'ema_state_dict'):
        torch.testing.assert_close(again[key], whole[key], rtol=0, atol=0)
    fresh = build(base=bases[0], seed=5)
    assert check_weights(fresh, whole, 'epoch_3.pth') == []
    assert fresh.backbone_sha256() == wanted


def test_average_keeps_the_hash_of_what_load_from_loaded(bases, tmp_path):
    seen = Seen()
    run(tmp_path, None, dict(momentum=0.3), hooks=[seen], load_from=str(bases[0]))
    assert seen.hashes == {started(base=bases[0]).backbone_sha256()}


class Moved(Hook):
    """Gives the average tensors of its own before weights are loaded, as another device does."""

    priority = 'LOW'

    def before_run(self, runner):
        next(h for h in runner.hooks if isinstance(h, EMAHook)).ema_model.double().float()


def test_average_on_another_backbone_is_refused(bases, tmp_path):
    with pytest.raises(ValueError, match='EMAHook averages on another backbone than the model has'):
        run(tmp_path, bases[0], dict(), hooks=[Moved()], **GUARDED)


def test_what_shares_a_backbone_does_not_change_it(bases):
    model = build('LoRA', base=bases[0], saved='trained')
    average = copy.deepcopy(model)
    drawn = average.backbone_sha256()
    model.to('cpu').init_weights()
    assert average.backbone_sha256() == model.backbone_sha256() != drawn
    train(model)
    wanted = {name: value.clone() for name, value in model.frozen().items()}
    average.load_state_dict(model.state_dict())
    folded = MODELS.build(dict(type='ImageClassifier', backbone=VIT, head=HEAD)).eval()
    folded.load_state_dict(average.fold_tuner())
    torch.testing.assert_close(predict(folded), predict(model))
    for moved in (copy.deepcopy(model), copy.deepcopy(build(base=bases[0], saved='trained'))):
        moved.half()
    assert all(torch.equal(value, wanted[name]) for name, value in model.frozen().items())
    # With weights, or for checkpoints of everything, a copy is a copy.
    for first in (model, build()):
        second = copy.deepcopy(first).frozen()
        assert all(v.data_ptr() != second[name].data_ptr() for name, v in first.frozen().items())


@pytest.mark.parametrize('tuner', ['AdaptFormer', 'LoRA', 'SSF', 'VisualPrompts', 'BitFit'])
def test_activation_checkpointing_is_refused(tuner, bases, tmp_path):
    cfg = dict(activation_checkpointing=['backbone.layers.0'])
    said = f'activation_checkpointing may give {tuner} wrong gradients or none'
    with pytest.raises(ValueError, match=said):
        run(tmp_path, bases[0], dict(), tuner, cfg=cfg, **GUARDED)


def test_optimizer_holds_what_is_trained(bases):
    model = started(base=bases[0])
    optimizer = dict(type='SGD', lr=0.1, weight_decay=0.01)
    options = dict(norm_decay_mult=0.0)
    for paramwise in (None, options):
        wrapper = build_optim_wrapper(
            model,
            dict(
                optimizer=optimizer,
                constructor='mmpretrain.TrainedParametersConstructor',
                paramwise_cfg=paramwise,
            ),
        )
        held = [p for group in wrapper.optimizer.param_groups for p in group['params']]
        assert {id(p) for p in held} == {id(p) for p in model.parameters() if p.requires_grad}
    decays = {group['weight_decay'] for group in wrapper.optimizer.param_groups}
    assert decays == {0.0, 0.01}
    with pytest.raises(ValueError, match='all parameters of the model are frozen'):
        build_optim_wrapper(
            model.requires_grad_(False),
            dict(optimizer=optimizer, constructor='mmpretrain.TrainedParametersConstructor'),
        )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('tuner', ['AdaptFormer', 'LoRA', 'SSF', 'VisualPrompts', 'BitFit'])
def test_half_precision_is_finite_and_near(tuner, dtype, bases):
    model = train(started(tuner=tuner, base=bases[0]))
    wanted = predict(model).softmax(-1)
    with torch.autocast('cpu', dtype):
        model.train()
        losses = model(IMAGES, SAMPLES, mode='loss')
        losses['loss_joint'].backward()
        found = predict(model.eval()).softmax(-1)
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    torch.testing.assert_close(found.float(), wanted, atol=0.15, rtol=0)


@pytest.mark.parametrize('tuner', ['AdaptFormer', 'LoRA', 'SSF', 'VisualPrompts'])
def test_exported_model_has_its_tuner(tuner, bases, tmp_path):
    model = train(started(tuner=tuner, base=bases[0]))
    path = str(tmp_path / 'model.onnx')
    torch.onnx.export(model, (IMAGES,), path, input_names=['images'], dynamo=False)
    found = onnxruntime.InferenceSession(path).run(None, {'images': IMAGES.numpy()})
    wanted = model(IMAGES)
    wanted = wanted[-1] if isinstance(wanted, tuple) else wanted
    torch.testing.assert_close(torch.from_numpy(found[-1]), wanted.detach(), atol=1e-5, rtol=1e-4)


def test_mistypes_are_told():
    with pytest.raises(ValueError, match=r"saved must be one of \('all', 'trained'\), got 'part'"):
        build(saved='part')
