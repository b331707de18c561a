"""A small random CLIP model on disk: its text as class vectors, its image tower for mmpretrain."""

import json
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from commands import ROOT, environment
from mmengine.config import Config
from mmpretrain.datasets import CIFAR100
from mmpretrain.registry import MODELS
from transformers import CLIPConfig, CLIPModel

from mmlt.checkpoint import CheckpointError
from mmlt.clip import (
    backbone_settings,
    image_tower,
    read_clip,
    read_templates,
    text_vectors,
)
from mmlt.models.class_vectors import load_class_vectors

TOOL, CONVERT = 'tools/class_vectors.py', 'tools/model_converters/convert_clip.py'
TEXT_WIDTH, WIDTH, SHARED = 24, 32, 12
LONGEST = 45
SHIPPED = str(ROOT / 'configs/bce3s/resnet14_digits-lt-77922ea6.pth')


def write_clip(folder: Path, **changes) -> Path:
    """A CLIP model with two layers a tower, weights far from zero, and single letters as tokens."""
    folder.mkdir()
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(f'{letter}</w>' for letter in letters), '<|startoftext|>', '<|endoftext|>']
    (folder / 'vocab.json').write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / 'merges.txt').write_text('#version: 0.2\n')
    last, layers = len(words) - 1, dict(num_hidden_layers=2, num_attention_heads=4)
    text = dict(layers, vocab_size=last + 1, hidden_size=TEXT_WIDTH, intermediate_size=36,
                max_position_embeddings=LONGEST, bos_token_id=last - 1, eos_token_id=last,
                pad_token_id=last)  # fmt: skip
    vision = dict(layers, hidden_size=WIDTH, intermediate_size=48, image_size=32, patch_size=16)
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(
        text_config=text, vision_config=vision | changes, projection_dim=SHARED))  # fmt: skip
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp('hub') / 'clip-tiny')


def tool(path, *words):
    """Run a tool in this process."""
    runpy.run_path(str(ROOT / path))['main'](list(map(str, words)))


# The image tower


@pytest.mark.parametrize('activation', ['quick_gelu', 'gelu'])
def test_mmpretrain_s_vit_gives_the_class_token_of_clip(tmp_path, activation):
    model, _ = read_clip(write_clip(tmp_path / 'clip', hidden_act=activation))
    model.double()
    vit = MODELS.build(dict(backbone_settings(model), type='VisionTransformer')).double()
    vit.load_state_dict(image_tower(model, prefix=''))
    vit.eval()
    images = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        token = vit(images)[-1]
        wanted = model.vision_model(pixel_values=images).pooler_output
        features = model.get_image_features(pixel_values=images)
    features = getattr(features, 'pooler_output', features)  # a tensor before transformers 5
    torch.testing.assert_close(token, wanted, atol=1e-12, rtol=0)
    projected = token @ model.visual_projection.weight.T
    torch.testing.assert_close(projected, features, atol=1e-12, rtol=0)


def test_the_clip_config_is_clip_s_vit_base_with_patches_of_16():
    # transformers' own defaults for the rest are those of ViT-B.
    backbone = Config.fromfile(ROOT / 'configs/_base_/models/vit-base-p16_clip.py').model.backbone
    config = CLIPConfig(vision_config=dict(patch_size=16))
    settings = dict(backbone_settings(SimpleNamespace(config=config)), type='VisionTransformer')
    assert {**backbone, 'init_cfg': None} == {**settings, 'init_cfg': None}


def test_the_converted_file_arrives_in_a_backbone(clip, tmp_path, capsys):
    tool(CONVERT, clip, '--out', tmp_path / 'new' / 'vit.pth')
    (tmp_path / 'printed.py').write_text(capsys.readouterr().out.split('\n', 1)[1])
    vit = MODELS.build(Config.fromfile(tmp_path / 'printed.py').backbone)
    vit.init_weights()
    wanted, found = image_tower(read_clip(clip)[0], prefix=''), vit.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


# The text tower


def unit(x):
    return x / x.norm()


def one_by_one(model, tokenizer, words, templates, project):
    """Prompt after prompt, without padding, from the parts of the model."""
    rows = []
    for word in words:
        mean = 0
        for template in templates:
            tokens = torch.tensor([tokenizer(template.format(word))['input_ids']])
            hidden = model.text_model(input_ids=tokens).last_hidden_state[0, -1]  # <|endoftext|>
            mean = mean + unit(model.text_projection.weight.double() @ hidden.double())
        row = unit(mean / len(templates))
        rows.append(unit(model.visual_projection.weight.double().T @ row) if project else row)
    return torch.stack(rows)


@pytest.mark.parametrize('project', [True, False], ids=['projected', 'plain'])
@pytest.mark.parametrize('templates', [['a photo of a {}.'], ['{}', 'the {}, small'], ['cifar100']])
def test_class_vectors_are_those_of_single_prompts(clip, templates, project):
    model, tokenizer = read_clip(clip)
    model.double()
    words, templates = ['bee', 'sea lion', 'x'], read_templates(templates)
    found = text_vectors(model, tokenizer, words, templates, project, batch_size=2)
    with torch.no_grad():
        wanted = one_by_one(model, tokenizer, words, templates, project)
    assert found.shape == (3, WIDTH if project else SHARED)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)


def test_a_prompt_that_the_tower_would_cut_is_refused(clip):
    model, tokenizer = read_clip(clip)
    assert text_vectors(model, tokenizer, ['m' * (LONGEST - 2)], ['{}']).shape == (1, WIDTH)
    with pytest.raises(ValueError, match=f'has {LONGEST + 1} tokens, .* reads {LONGEST}'):
        text_vectors(model, tokenizer, ['a', 'm' * (LONGEST - 1)], ['{}'])


def test_the_tool_writes_what_a_head_begins_from(clip, tmp_path, capsys):
    out = tmp_path / 'cifar100.pth'
    tool(TOOL, 'text', clip, '--names', 'cifar100', '--out', out)
    assert '100 class vectors of width 32' in capsys.readouterr().out
    found = load_class_vectors(out)
    assert found.names == tuple(CIFAR100.METAINFO['classes'])
    model, tokenizer = read_clip(clip)
    words = ['apple', 'aquarium fish', 'baby']
    wanted = text_vectors(model, tokenizer, words, ['a photo of a {}.']).float()
    torch.testing.assert_close(found.vectors[:3], wanted, atol=1e-6, rtol=0)
    told = dict(kind='text', clip='clip-tiny', templates=['a photo of a {}.'], projected=True)
    assert told.items() <= found.meta.items()
    head = dict(type='TripartiteHead', num_classes=100, in_channels=WIDTH, joint='softmax',
                init_cfg=dict(type='ClassVectors', file=str(out)))  # fmt: skip
    head = MODELS.build(head)
    head.init_weights()
    assert torch.equal(head.classifier.weight, found.vectors)


# Folders that cannot be read


def edited(clip, folder, **changes):
    """A copy of the folder with another config or without some weights."""
    model = CLIPModel.from_pretrained(clip)
    folder.mkdir()
    for name in ('vocab.json', 'merges.txt'):
        (folder / name).write_text((clip / name).read_text())
    config = json.loads((clip / 'config.json').read_text()) | changes
    (folder / 'config.json').write_text(json.dumps(config))
    return folder, model.state_dict()


def test_weights_that_are_missing_or_broken_are_refused(clip, tmp_path):
    from safetensors.torch import save_file

    folder, state = edited(clip, tmp_path / 'a')
    image = {name: value for name, value in state.items() if not name.startswith('text_')}
    save_file(image, folder / 'model.safetensors', metadata=dict(format='pt'))
    with pytest.raises(ValueError, match='lacks .* weights of its model'):
        read_clip(folder)  # transformers goes on with a random text tower
    state['visual_projection.weight'] = state['visual_projection.weight'] / 0
    save_file(state, folder / 'model.safetensors', metadata=dict(format='pt'))
    with pytest.raises(ValueError, match='not finite: visual_projection.weight'):
        read_clip(folder)
    (folder / 'model.safetensors').write_bytes(b'no weights at all')
    with pytest.raises(ValueError, match='cannot be read as a CLIP model'):
        read_clip(folder)


def test_pickled_weights_are_checked_before_they_are_loaded(clip, tmp_path):
    folder, state = edited(clip, tmp_path / 'a')
    torch.save(state, folder / 'pytorch_model.bin')
    assert torch.equal(read_clip(folder)[0].visual_projection.weight,
                       state['visual_projection.weight'])  # fmt: skip

    class Command:
        def __reduce__(self):
            return os.system, (f'touch {tmp_path}/mark',)

    torch.save(dict(state, logit_scale=Command()), folder / 'pytorch_model.bin')
    with pytest.raises(CheckpointError, match='pytorch_model.bin cannot be loaded'):
        read_clip(folder)
    assert not (tmp_path / 'mark').exists()


def test_nobody_is_asked_for_anything(clip, monkeypatch):
    asked = []
    monkeypatch.setattr(socket.socket, 'connect', lambda self, address: asked.append(address))
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *address, **_: asked.append(address))
    monkeypatch.delenv('HF_HUB_OFFLINE', raising=False)
    read_clip(clip)
    assert asked == []


def test_code_of_the_folder_is_not_run(clip, tmp_path):
    own = {'AutoModel': 'own.Own', 'AutoTokenizer': ['own.Own', None]}
    folder, state = edited(clip, tmp_path / 'a', auto_map=own)
    torch.save(state, folder / 'pytorch_model.bin')
    (folder / 'own.py').write_text(f"open('{tmp_path}/mark', 'w')\nclass Own: pass\n")
    read_clip(folder)
    assert not (tmp_path / 'mark').exists()


def test_folders_of_another_kind_are_refused(clip, tmp_path):
    with pytest.raises(FileNotFoundError, match='openai/clip is no folder; .*Nothing is downloade'):
        read_clip('openai/clip')
    with pytest.raises(FileNotFoundError, match='config.json does not exist'):
        read_clip(tmp_path)
    folder, _ = edited(clip, tmp_path / 'siglip', model_type='siglip')
    with pytest.raises(ValueError, match="has model_type 'siglip', expected 'clip'"):
        read_clip(folder)
    folder, _ = edited(clip, tmp_path / 'bare')
    (folder / 'vocab.json').unlink()
    with pytest.raises(FileNotFoundError, match='has no vocab.json'):
        read_clip(folder)
    with pytest.raises(ValueError, match="hidden_act of the image tower is 'relu'"):
        backbone_settings(read_clip(write_clip(tmp_path / 'relu', hidden_act='relu'))[0])


def test_without_transformers_the_tools_say_what_to_install(clip, tmp_path, monkeypatch):
    # As in an environment without it, the import fails; by the package's own command.
    (tmp_path / 'transformers.py').write_text("raise ModuleNotFoundError('no transformers')")
    path = f'{tmp_path}{os.pathsep}{ROOT}'
    run = subprocess.run(
        [sys.executable, '-m', 'mmlt', 'class_vectors', 'text', clip, '--names', 'cifar100',
         '--out', 'a.pth'],
        env=dict(environment(), PYTHONPATH=path), cwd=tmp_path, text=True, capture_output=True,
    )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr.strip().split('\n')[-1] == (
        "error: a CLIP model is read with transformers (no transformers): pip install 'mmlt[text]'"
    )


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['text', 'nowhere', '--names', 'cifar100', '--out', 'a.pth'], 'nowhere is no folder'),
        (['text', 'nowhere', '--names', 'cifar100', '--out', 'a.txt'], '--out must end with .pth'),
        (['text', 'nowhere', '--out', 'a.pth'], 'required: --names'),
        (['means', 'a.pth', '--out', 'b.pth'], 'CONFIG must be a config file'),
        (['means', 'a.py', 'b.pth', '--out', __file__], '--out must end with .pth'),
        (['text', 'nowhere', '--names', 'cifar100', '--out', SHIPPED], 'and is left as it is'),
        (['means', 'a.py', '--cfg-options', 'x', '1', '--out', 'b.pth'], "key=value, got 'x'"),
    ],
)
def test_mistakes_on_the_command_line(words, message, capsys):
    with pytest.raises((SystemExit, OSError)) as error:
        tool(TOOL, *words)
    assert message in capsys.readouterr().err + str(error.value)
