"""What is predicted and exported has the class counts that a test has: the config's."""

import json

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

import mmlt  # noqa: F401
from mmlt.analysis.loading import open_model
from mmlt.checkpoint import CheckpointError

MODEL = dict(
    type='ImageClassifier',
    backbone=dict(type='CifarResNet', depth=20),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='TripartiteHead', num_classes=3, in_channels=64, joint='softmax'),
)
ADJUSTED = dict(adjustment=dict(type='LogitAdjustment', tau=1.0))


def opened(folder, counts, experts=False):
    """The prior that the head subtracts, of a checkpoint of 50, 20, 5 images."""
    path = str(folder / 'model.pth')
    head = MODEL['head'] | dict(class_counts=[50, 20, 5])
    own = MODEL['head'] | ADJUSTED
    if experts:
        inner = dict(joint='softmax', **ADJUSTED)
        own = head = dict(type='ExpertsHead', num_classes=3, in_channels=64, num_experts=2,
                          head=inner, class_counts=[50, 20, 5])  # fmt: skip
    backbone = dict(type='MultiExpertBackbone', num_experts=2, backbone=MODEL['backbone'])
    model = MODEL | (dict(backbone=backbone) if experts else {})
    torch.save(dict(state_dict=MODELS.build(dict(model, head=head)).state_dict(), meta={}), path)
    cfg = Config(dict(model=dict(model, head=dict(own, class_counts=counts))))
    head = open_model(cfg, path)[0].head
    return getattr(head, 'experts', [head])[0].adjustment.shift.exp()


def test_the_config_counts(tmp_path):
    torch.testing.assert_close(opened(tmp_path, [70, 20, 10]), torch.tensor([0.7, 0.2, 0.1]))
    (tmp_path / 'counts.json').write_text(json.dumps([70, 20, 10]))
    found = opened(tmp_path, str(tmp_path / 'counts.json'))
    torch.testing.assert_close(found, torch.tensor([0.7, 0.2, 0.1]))


def test_a_file_on_another_machine_is_replaced_by_the_checkpoint(tmp_path):
    for experts in (False, True):
        found = opened(tmp_path, str(tmp_path / 'nowhere.json'), experts)
        torch.testing.assert_close(found, torch.tensor([50, 20, 5]) / 75)


@pytest.mark.parametrize('here', [True, False])
def test_a_checkpoint_of_other_classes_is_named(tmp_path, here):
    path, counts = tmp_path / 'model.pth', tmp_path / 'counts.json'
    head = dict(MODEL['head'], class_counts=[50, 20, 5])
    torch.save(dict(state_dict=MODELS.build(dict(MODEL, head=head)).state_dict(), meta={}), path)
    if here:
        counts.write_text('[9, 8, 7, 6]')
    head = dict(head, num_classes=4, class_counts=str(counts))
    with pytest.raises(CheckpointError) as caught:
        open_model(Config(dict(model=dict(MODEL, head=head))), str(path))
    assert str(caught.value) == (
        f'checkpoint {path} has 3 classes, the config 4: they do not belong together'
    )
