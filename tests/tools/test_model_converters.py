"""A trained model in mmpretrain's hands and tools, published, and as ONNX."""

import hashlib
import json
import pickletools
import shutil
import sys
import zipfile

import mmpretrain
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from commands import ROOT, command
from mmengine.config import Config
from mmpretrain import ImageClassificationInferencer, get_model, inference_model
from mmpretrain.apis.model import ModelHub
from mmpretrain.registry import MODELS
from PIL import Image
from test_own_photos import tool

import mmlt
from mmlt.analysis.loading import open_model
from mmlt.deployment import CannotExportError, export_onnx, publish, sizes
from mmlt.deployment.publishing import without_folders
from mmlt.reproduction import render_metafile, write_record

NAMES = ('ant', 'bee', 'cat dog')
CONFIG = """
_base_ = '{root}/configs/_base_/default_runtime.py'
class_counts = [8, 5, 3]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(24, 16)), dict(type='PackInputs')]
loader = dict(batch_size=8, num_workers=0, persistent_workers=False,
              dataset=dict(type='PhotoFolder', data_root='{folder}', pipeline=test_pipeline),
              sampler=dict(type='DefaultSampler', shuffle=True))
train_dataloader = test_dataloader = val_dataloader = loader
val_evaluator = test_evaluator = dict(type='ShotAccuracy', class_counts=class_counts)
train_cfg, val_cfg, test_cfg = dict(by_epoch=True, max_epochs=1), dict(), dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
data_preprocessor = dict(type='MultiViewDataPreprocessor', num_classes=3, mean=[120.0, 110.0, 100.0],
                         std=[60.0, 61.0, 62.0], to_rgb=True)
model = dict(type='ImageClassifier', backbone=dict(type='CifarResNet', depth=20),
             neck=dict(type='GlobalAveragePooling'),
             head=dict(type='BCE3SHead', num_classes=3, in_channels=64, class_counts=class_counts))
"""  # noqa: E501


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A folder with photos, a config and the work dir of one epoch."""
    folder = tmp_path_factory.mktemp('run')
    rng = np.random.RandomState(0)
    for k, (name, number) in enumerate(zip(NAMES, (8, 5, 3))):
        (folder / 'train' / name).mkdir(parents=True)
        for i in range(number):
            pixels = rng.randint(0, 60, (16, 24, 3), np.uint8)
            pixels[..., k] += 150
            Image.fromarray(pixels).save(folder / 'train' / name / f'{i}.png')
    (folder / 'classes.txt').write_text('\n'.join(NAMES))
    config = folder / 'toy.py'
    config.write_text(CONFIG.format(root=ROOT, folder=folder))
    train = command(sys.executable, 'tools/train.py', config, '--work-dir', folder / 'work')
    assert train.returncode == 0, train.stdout + train.stderr
    return folder


@pytest.fixture(scope='module')
def image(run):
    return str(run / 'train' / 'bee' / '0.png')


@pytest.fixture(scope='module')
def wanted(run, image):
    """Scores of an image, computed without any of the parts in question."""
    cfg = Config.fromfile(run / 'toy.py')
    model, _ = open_model(cfg, str(run / 'work/epoch_1.pth'))
    pixels = np.asarray(Image.open(image).convert('RGB'), np.float32)
    pixels = (pixels - [120.0, 110.0, 100.0]) / [60.0, 61.0, 62.0]
    pixels = torch.from_numpy(pixels).float().permute(2, 0, 1)[None]
    model.eval()
    with torch.no_grad():
        features = model.neck(model.backbone(pixels))[-1]
        return model.head.classifier(features).softmax(dim=1)[0].numpy()


@pytest.mark.parametrize('config', ['toy.py', 'work/toy.py'])
def test_mmpretrain_s_inferencer_takes_config_and_checkpoint(run, image, wanted, config):
    inferencer = ImageClassificationInferencer(
        str(run / config), pretrained=str(run / 'work/epoch_1.pth'), device='cpu'
    )
    (result,) = inferencer(image)
    np.testing.assert_allclose(result['pred_scores'], wanted, atol=1e-5)
    assert result['pred_class'] == NAMES[wanted.argmax()]


def test_mmpretrain_s_get_model_and_inference_model(run, image, wanted, tmp_path):
    weights = str(run / 'work/epoch_1.pth')
    model = get_model(str(run / 'toy.py'), pretrained=weights, device='cpu')
    assert model._dataset_meta['classes'] == NAMES
    # inference_model asks the metafile for the task: a model of an index, with a result.
    method = tmp_path / 'configs' / 'handed-on'
    (method / 'results').mkdir(parents=True)
    shutil.copy(run / 'toy.py', method)
    last = {f'shot/{name}': 50.0 for name in ('all', 'many', 'medium', 'few')}
    way = dict(precision='float32', draw='d', augmentation='by images', options={})
    record = dict(config='toy.py', seed=0, last=last, **way)
    write_record(method / 'results' / 'toy.json', record)
    shutil.copy(ROOT / 'configs/baselines/metafile.yml', method)
    (method / 'metafile.yml').write_text(render_metafile(method / 'metafile.yml'))
    index = tmp_path / 'model-index.yml'
    index.write_text('Import:\n  - configs/handed-on/metafile.yml\n')
    ModelHub.register_model_index(index, config_prefix=tmp_path)
    model = get_model('handed-on_toy', pretrained=weights, device='cpu')
    result = inference_model(model, image)
    np.testing.assert_allclose(result['pred_scores'], wanted, atol=1e-5)
    assert result['pred_class'] == NAMES[wanted.argmax()]


@pytest.fixture(scope='module')
def published(run):
    told = tool(
        'model_converters/publish_model', run / 'work/epoch_1.pth', '--out', run / 'published.pth'
    )
    assert told.returncode == 0, told.stderr
    (path,) = run.glob('published-*.pth')
    return path, told.stdout


def test_a_published_checkpoint_keeps_what_a_test_needs_and_no_more(run, published):
    path, told = published
    before = mmlt.checkpoint.load(run / 'work/epoch_1.pth')
    after = mmlt.checkpoint.load(path)
    assert set(after) == {'meta', 'state_dict'}
    gone = set(before['state_dict']) - set(after['state_dict'])
    assert gone
    assert all(name.startswith('head.slots.contrast.') for name in gone)
    for name, value in after['state_dict'].items():
        assert torch.equal(value, before['state_dict'][name])
    assert after['state_dict']['head.class_counts'].tolist() == [8, 5, 3]
    meta = after['meta']
    assert tuple(meta['dataset_meta']['classes']) == NAMES
    assert meta['training_draw'] == before['message_hub']['runtime_info']['training_draw']
    assert (meta['epoch'], meta['mmlt_version']) == (1, mmlt.__version__)
    # The config is whole, and names no folder of the run.
    assert Config.fromstring(meta['cfg'], '.py').model.head.type == 'BCE3SHead'
    assert str(run / 'work') not in meta['cfg']
    assert str(run) in before['meta']['cfg']
    assert str(run) not in meta['cfg']
    text = "data_root = '/home/me/a b/birds/'\nx = ['~/c.json', 'n/m']"
    assert without_folders(text) == "data_root = 'birds'\nx = ['c.json', 'n/m']"
    same = "sep = '/'\nload = 'https://a.b/c.pth'\nprefix = 'train/x'"
    assert without_folders(same) == same
    # Sizes before and after, and the hash in the name.
    assert sum(sizes(after).values()) < sum(sizes(before).values())
    assert f'{sum(sizes(before).values()) / 1e6:.2f} MB' in told
    assert f'{sum(sizes(after).values()) / 1e6:.2f} MB' in told
    assert 'weights for training' in told
    assert told.splitlines()[-1] == str(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:8] == path.stem.split('-')[-1]


def test_a_published_checkpoint_says_nothing_that_is_not_torch_s(published):
    with zipfile.ZipFile(published[0]) as file:
        (name,) = (name for name in file.namelist() if name.endswith('data.pkl'))
        operations = list(pickletools.genops(file.read(name)))
    modules = {arg.split()[0] for op, arg, _ in operations if op.name == 'GLOBAL'}
    assert modules <= {'torch', 'torch._utils', 'collections'}


def test_a_published_checkpoint_is_tested_and_predicts(run, published, image, wanted):
    path = str(published[0])
    (result,) = ImageClassificationInferencer(str(run / 'toy.py'), path, device='cpu')(image)
    np.testing.assert_allclose(result['pred_scores'], wanted, atol=1e-5)
    test = command(
        sys.executable, 'tools/test.py', run / 'toy.py', path, '--work-dir', run / 'test'
    )
    assert test.returncode == 0, test.stdout + test.stderr


def test_publishing_refuses_in_one_line(run, published, tmp_path):
    again = tool(
        'model_converters/publish_model', run / 'work/epoch_1.pth', '--out', run / 'published.pth'
    )
    assert again.returncode == 1
    assert again.stderr.strip().splitlines()[-1].endswith('exists and is left as it is')
    with pytest.raises(ValueError, match='must end in .pth, got .*model.pt$'):
        publish(run / 'work/epoch_1.pth', tmp_path / 'model.pt')
    torch.save({'a': torch.zeros(2)}, tmp_path / 'bare.pth')
    with pytest.raises(ValueError, match='is no checkpoint of a training'):
        publish(tmp_path / 'bare.pth', tmp_path / 'out.pth')
    with pytest.raises(FileNotFoundError, match='absent.pth does not exist'):
        publish(tmp_path / 'absent.pth', tmp_path / 'out.pth')


def test_mmpretrain_s_own_publish_model_takes_our_checkpoint(run, published, tmp_path):
    # Its plain torch.load knows log histories once mmlt was imported; a published file needs none.
    script = f'{mmpretrain.__path__[0]}/.mim/tools/model_converters/publish_model.py'
    with_mmlt = tmp_path / 'with_mmlt.py'
    with_mmlt.write_text(f"import mmlt, runpy\nrunpy.run_path({script!r}, run_name='__main__')\n")
    for source, path in ((run / 'work/epoch_1.pth', with_mmlt), (published[0], script)):
        told = command(sys.executable, str(path), source, tmp_path / 'theirs.pth')
        assert 'Successfully generated' in told.stdout, told.stderr
    found = [mmlt.checkpoint.load(path) for path in tmp_path.glob('theirs_*.pth')]
    assert {'head.classifier.weight' in each['state_dict'] for each in found} == {True}


def onnx_scores(path, pixels):
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return session.run(['scores'], {'image': pixels.astype(np.float32)})[0]


def test_a_whole_classifier_leaves_as_onnx(run, published, image, wanted):
    told = tool(
        'model_converters/export_onnx', run / 'toy.py', published[0], '--out', run / 'model.onnx'
    )
    assert told.returncode == 0, told.stderr
    assert 'float32 (N, 3, 16, 24), pixels 0 to 255 in BGR; normalised inside' in told.stdout
    assert 'largest difference to torch: scores' in told.stdout
    pixels = np.asarray(Image.open(image).convert('RGB'))[..., ::-1].transpose(2, 0, 1)[None]
    np.testing.assert_allclose(onnx_scores(run / 'model.onnx', pixels)[0], wanted, atol=1e-5)
    assert onnx_scores(run / 'model.onnx', np.repeat(pixels, 5, 0)).shape == (5, 3)
    props = {p.key: p.value for p in onnx.load(run / 'model.onnx').metadata_props}
    assert tuple(json.loads(props['mmlt.classes'])) == NAMES
    again = tool(
        'model_converters/export_onnx', run / 'toy.py', published[0], '--out', run / 'model.onnx'
    )
    assert again.stderr.strip().splitlines()[-1].endswith('exists and is left as it is')


def test_the_adjustment_is_inside(run, published, image, wanted):
    option = 'model.head.adjustment.type=LogitAdjustment'
    words = [run / 'toy.py', published[0], '--out', run / 'adjusted.onnx', '--no-preprocessing']
    told = tool('model_converters/export_onnx', *words, '--cfg-options', option)
    assert told.returncode == 0, told.stderr
    assert 'adjustment: LogitAdjustment' in told.stdout
    pixels = np.asarray(Image.open(image).convert('RGB'), np.float32)
    pixels = ((pixels - [120, 110, 100]) / [60, 61, 62]).transpose(2, 0, 1)[None]
    # p / pi, normalised.
    adjusted = wanted / np.array([8, 5, 3])
    found = onnx_scores(run / 'adjusted.onnx', pixels)[0]
    np.testing.assert_allclose(found, adjusted / adjusted.sum(), atol=1e-5)


COUNTS = [8, 5, 3]
HEADS = {
    'TripartiteHead': dict(classifier=dict(type='CosineLinear'), contrast='sigmoid'),
    'BCE3SHead': {},
    'BCLHead': {},
    'DBMHead': dict(joint=dict(type='BalancedSoftmaxLoss')),
    'ExpertsHead': dict(head=dict(type='BCE3SHead')),
    'NCLHead': {},
    'CompanionClassifier': {},
}


def classifier(kind):
    backbone = dict(type='CifarResNet', depth=20)
    if kind in ('ExpertsHead', 'NCLHead'):
        backbone = dict(type='MultiExpertBackbone', backbone=backbone, shared_stages=1)
    name = 'BCE3SHead' if kind == 'CompanionClassifier' else kind
    head = dict(type=name, num_classes=3, in_channels=64, class_counts=COUNTS, **HEADS[kind])
    whole = dict(type='ImageClassifier', backbone=backbone, head=head)
    if kind == 'CompanionClassifier':
        whole |= dict(type=kind, companions=dict(slow=dict(type='MomentumEncoder')))
    neck, prepare = dict(type='GlobalAveragePooling'), dict(mean=[120.0] * 3, std=[60.0] * 3)
    return MODELS.build(dict(whole, neck=neck, data_preprocessor=prepare))


@pytest.mark.parametrize('kind', ['ExpertsHead', 'CompanionClassifier', 'BCLHead'])
def test_nothing_of_the_training_is_published(kind, tmp_path):
    model = classifier(kind)
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'last.pth')
    path, before, after = publish(tmp_path / 'last.pth', tmp_path / 'out.pth')
    left = mmlt.checkpoint.load(path)['state_dict']
    assert before['weights for training'] > 0
    assert set(after) == {'weights'}
    assert not [name for name in left if 'contrast' in name or 'companions' in name]
    # What is left is all that a prediction needs.
    other = classifier(kind)
    other.load_state_dict(left, strict=False)
    images = torch.rand(2, 3, 16, 16)
    assert torch.equal(other.eval()(images), model.eval()(images))


@pytest.mark.parametrize('kind', HEADS)
def test_every_head_leaves_as_onnx(kind, tmp_path):
    found = export_onnx(classifier(kind), tmp_path / 'model.onnx', (16, 16))
    assert found['scores'] < 1e-5
    assert 'the order of channels in which the pipeline decodes' in found['input']


class NoOnnx(torch.nn.Module):
    """A layer whose operation has no ONNX form."""

    def forward(self, features):
        return torch.linalg.svdvals(features[-1].flatten(1))[None].expand(len(features[-1]), -1)


class FixedBatch(torch.nn.Module):
    """A layer that takes the batch size of the export for a constant."""

    def forward(self, features):
        return (features[-1].mean((2, 3)) / float(len(features[-1])),)


@pytest.mark.parametrize(
    ('neck', 'match'),
    [(NoOnnx, 'CifarResNet has no ONNX form: '), (FixedBatch, 'differ from torch by .*written')],
)
def test_what_cannot_leave_says_so_in_one_line(neck, match, tmp_path):
    model = classifier('BCE3SHead')
    model.neck = neck()
    with pytest.raises(CannotExportError, match=match) as error:
        export_onnx(model, tmp_path / 'model.onnx', (16, 16))
    assert '\n' not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_size_that_the_test_would_pad_is_refused(tmp_path):
    model = classifier('BCE3SHead')
    model.data_preprocessor.pad_size_divisor = 32
    with pytest.raises(ValueError, match=r'multiple of 32, to which the test pads, got \(16, 32\)'):
        export_onnx(model, tmp_path / 'model.onnx', (16, 32))
