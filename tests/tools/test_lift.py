"""The three commands of LIFT on the digits: foundation, class means, tuning; and what follows."""

import signal
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from commands import ROOT, command
from mmengine.config import Config
from mmpretrain.registry import MODELS
from test_train_and_test import kill_after_first_checkpoint

import mmlt  # noqa: F401  (torch may then load what mmengine puts into checkpoints)
from mmlt.analysis.loading import open_model, use_scope

LIFT, DBM = 'configs/lift/lift_vit-tiny_digits-lt.py', 'configs/lift/dbm-lift_vit-tiny_digits-lt.py'
SHORT = ['train_cfg.max_epochs=3', 'train_cfg.val_interval=3', 'optim_wrapper.optimizer.lr=0.02',
         'default_hooks.checkpoint.max_keep_ckpts=-1']  # fmt: skip


def tool(name, *words):
    return command(sys.executable, f'tools/{name}', *map(str, words))


def names(base, vectors) -> list[str]:
    return [f'model.backbone.init_cfg.checkpoint={base}', f'model.head.init_cfg.file={vectors}']


@pytest.fixture(scope='module')
def foundation(tmp_path_factory):
    """A foundation that has learned nothing yet, and its class means."""
    folder = tmp_path_factory.mktemp('foundation')
    base, vectors = folder / 'foundation.pth', folder / 'means.pth'
    torch.manual_seed(11)  # not the seed of the runs: a test would build the same weights
    model = Config.fromfile(ROOT / 'configs/lift/foundation_vit-tiny_digits.py').model
    torch.save(dict(state_dict=MODELS.build(model).state_dict()), base)
    result = tool('class_vectors.py', 'means', LIFT, '--out', vectors, '--cfg-options',
                  names(base, vectors)[0])  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert '10 class vectors of width 64' in result.stdout
    return base, vectors


@pytest.fixture(scope='module')
def tuned(foundation, tmp_path_factory):
    folder = tmp_path_factory.mktemp('tuned')
    result = tool('train.py', LIFT, '--work-dir', folder, '--cfg-options', *SHORT,
                  *names(*foundation))  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder, result


def weights(path) -> dict:
    return torch.load(path, weights_only=True)['state_dict']


def test_log_says_what_is_trained_from_what(tuned, foundation):
    _, result = tuned
    log = result.stdout + result.stderr
    assert "AdaptFormer trains 2,836 parameters (2.09% of the backbone's 136,000, of which" in log
    assert 'their names are those of the training set' in log
    assert 'class means' in log


def test_checkpoint_holds_the_trained_part_and_the_optimizer_no_more(tuned):
    checkpoint = torch.load(tuned[0] / 'epoch_3.pth', weights_only=True)
    kinds = {name.split('.')[0] for name in checkpoint['state_dict']}
    assert kinds == {'backbone_sha256', 'tuner', 'head'}
    groups = checkpoint['optimizer']['param_groups']
    held = [index for group in groups for index in group['params']]
    trained = [name for name in checkpoint['state_dict'] if name.startswith('tuner.')]
    assert len(held) == len(trained) + 1  # and the class vectors
    assert (tuned[0] / 'epoch_3.pth').stat().st_size < 150_000


def test_killed_run_goes_on_to_the_same_weights(tuned, foundation, tmp_path):
    words = [sys.executable, 'tools/train.py', LIFT, '--work-dir', str(tmp_path), '--cfg-options',
             *SHORT, *names(*foundation)]  # fmt: skip
    assert kill_after_first_checkpoint(tmp_path, words) == -signal.SIGKILL
    # A resumed run does not need the class vectors any more.
    result = tool('train.py', LIFT, '--work-dir', tmp_path, '--resume', '--cfg-options', *SHORT,
                  *names(foundation[0], 'gone.pth'))  # fmt: skip
    assert result.returncode == 0, result.stderr
    unbroken, resumed = weights(tuned[0] / 'epoch_3.pth'), weights(tmp_path / 'epoch_3.pth')
    assert unbroken.keys() == resumed.keys()
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)


def test_every_reader_finds_the_backbone(tuned, foundation, tmp_path):
    options = ['--cfg-options', *names(foundation[0], 'gone.pth')]
    checkpoint = tuned[0] / 'epoch_3.pth'
    result = tool('test.py', LIFT, checkpoint, '--work-dir', tmp_path, *options)
    assert result.returncode == 0, result.stderr
    row = result.stdout.strip().splitlines()[-1].split()[2:]
    assert row == tuned[1].stdout.strip().splitlines()[-1].split()[3:]
    result = tool('model_converters/export_onnx.py', LIFT, checkpoint, '--out',
                  tmp_path / 'model.onnx', *options)  # fmt: skip
    assert result.returncode == 0, result.stderr
    session = onnxruntime.InferenceSession(str(tmp_path / 'model.onnx'))
    image = np.random.default_rng(0).integers(0, 256, (3, 3, 8, 8)).astype(np.float32)
    _, logits = session.run(None, {session.get_inputs()[0].name: image})
    cfg = Config.fromfile(ROOT / LIFT)
    cfg.model.backbone.init_cfg.checkpoint = str(foundation[0])
    use_scope(cfg)
    model = open_model(cfg, str(checkpoint))[0].eval()
    prepared = (torch.from_numpy(image) - 127.5) / 127.5
    wanted = model.head(model.extract_feat(prepared)).detach()
    torch.testing.assert_close(torch.from_numpy(logits), wanted, atol=1e-3, rtol=1e-4)


def test_another_backbone_is_refused_in_one_line(tuned, foundation, tmp_path):
    other = torch.load(foundation[0], weights_only=True)
    other['state_dict']['backbone.ln1.bias'][0] += 1e-6
    torch.save(other, tmp_path / 'other.pth')
    result = tool('test.py', LIFT, tuned[0] / 'epoch_3.pth', '--work-dir', tmp_path,
                  '--cfg-options', *names(tmp_path / 'other.pth', 'gone.pth'))  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith('error: the checkpoint holds a tuner and a')
    assert 'other.pth' in result.stderr.splitlines()[-1]


def test_lora_is_published_as_a_plain_classifier(foundation, tmp_path):
    config = tmp_path / 'lora.py'
    config.write_text(
        f"_base_ = '{ROOT / DBM}'\nmodel = dict(\n    tuner=dict(_delete_=True, type='LoRA'),\n"
        f"    backbone=dict(init_cfg=dict(checkpoint='{foundation[0]}')),\n)\n"
    )
    result = tool('train.py', config, '--work-dir', tmp_path, '--cfg-options', *SHORT,
                  *names(*foundation))  # fmt: skip
    assert result.returncode == 0, result.stderr
    result = tool('model_converters/publish_model.py', tmp_path / 'epoch_3.pth', '--out',
                  tmp_path / 'plain.pth', '--fold-tuner', config)  # fmt: skip
    assert result.returncode == 0, result.stderr
    published = result.stdout.splitlines()[-1]
    # The file's own config says what it is, and its model computes the same.
    loaded = torch.load(published, weights_only=True)
    (tmp_path / 'plain.py').write_text(loaded['meta']['cfg'])
    plain_cfg, cfg = Config.fromfile(tmp_path / 'plain.py'), Config.fromfile(config)
    assert plain_cfg.model.type == 'ImageClassifier'
    use_scope(cfg)
    plain = open_model(plain_cfg, published)[0].eval()
    model = open_model(cfg, str(tmp_path / 'epoch_3.pth'))[0].eval()
    images = torch.rand(5, 3, 8, 8)
    wanted = model.head(model.extract_feat(images))
    torch.testing.assert_close(plain.head(plain.extract_feat(images)), wanted, atol=1e-4, rtol=1e-4)
    again = tool('model_converters/publish_model.py', published, '--out', tmp_path / 'again.pth',
                 '--fold-tuner', tmp_path / 'plain.py')  # fmt: skip
    assert again.returncode == 1
    assert 'ImageClassifier has no tuner to fold' in again.stderr
    assert 'Traceback' not in again.stderr


def test_frozen_backbone_without_weights_is_refused(foundation, tmp_path):
    result = tool('train.py', LIFT, '--work-dir', tmp_path, '--cfg-options',
                  'model.backbone.init_cfg=None', names(*foundation)[1])  # fmt: skip
    assert result.returncode == 1
    assert 'freezes a backbone that nothing has trained' in result.stderr.splitlines()[-1]
