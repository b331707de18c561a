"""Heads and losses find their parts whatever default scope their user works in."""

import pytest
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from torch import nn

import mmlt  # noqa: F401
from mmlt.models.build import build_part


@pytest.fixture(params=['mmengine', 'mmdet'])
def foreign_scope(request):
    return DefaultScope.get_instance(f'foreign-{request.param}', scope_name=request.param)


@pytest.mark.parametrize('joint', ['softmax', dict(type='ClassBalancedLoss')])
def test_head_builds_under_another_default_scope(joint, foreign_scope):
    assert DefaultScope.get_current_instance() is foreign_scope
    head = MODELS.build(
        dict(
            type='mmpretrain.BCE3SHead',
            num_classes=3,
            in_channels=4,
            class_counts=[3, 2, 1],
            joint=joint,
        )
    )
    assert type(head.slots['contrast']).__name__ == 'MemoryBankNeck'


def test_class_counts_go_to_parts_that_take_them():
    balanced = build_part(dict(type='ClassBalancedLoss', beta=0.5), class_counts=[1, 2])
    assert balanced.class_weight[0] > balanced.class_weight[1]
    own = build_part(
        dict(type='ClassBalancedLoss', class_counts=[2, 1], beta=0.5), class_counts=[1, 2]
    )
    assert own.class_weight[0] < own.class_weight[1]
    assert build_part(dict(type='SigmoidPairLoss'), class_counts=[1, 2]).loss_weight == 1


def test_defaults_go_to_parts_that_take_them():
    widths = dict(in_channels=4, num_classes=3)
    assert build_part(dict(type='MemoryBankNeck'), **widths).bank.shape == (3, 128)
    assert build_part(dict(type='PrototypeNeck', in_channels=5), **widths).projector[
        0
    ].weight.shape == (512, 5)


def test_module_is_returned_as_it_is():
    layer = nn.Linear(2, 3)
    assert build_part(layer) is layer


def test_unknown_type_is_named():
    with pytest.raises(KeyError, match='NoSuchLoss'):
        build_part(dict(type='NoSuchLoss'))
