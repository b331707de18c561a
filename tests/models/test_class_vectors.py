"""Files of class vectors, and heads that begin from them."""

import os

import pytest
import torch
from mmpretrain.registry import MODELS

import mmlt  # noqa: F401
from mmlt.checkpoint import CheckpointError
from mmlt.models.class_vectors import load_class_vectors, plain_name, save_class_vectors
from mmlt.models.class_vectors_init import ClassVectorsInit, drop_class_vectors

NAMES = ['sea_lion', 'maple tree', 'Bee']


@pytest.fixture
def file(tmp_path):
    """Three vectors of width 4, whose lengths are 2, 3 and 5."""
    torch.manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(3, 4, dtype=torch.float64), dim=1)
    save_class_vectors(tmp_path / 'a.pth', rows * torch.tensor([[2.0], [3.0], [5.0]]), NAMES,
                       dict(kind='text', projected=True))  # fmt: skip
    return str(tmp_path / 'a.pth'), rows.float()


def head(file, **options):
    config = dict(type='DBMHead', num_classes=3, in_channels=4, class_counts=[9, 3, 1])
    config |= dict(init_cfg=dict(type='ClassVectors', file=file)) | options
    if config['type'] == 'LinearClsHead':
        config.pop('class_counts')
    return MODELS.build(config)


def test_a_file_gives_back_unit_rows_names_and_what_they_were_made_from(file):
    path, rows = file
    found = load_class_vectors(path)
    assert torch.equal(found.vectors, rows)
    assert (found.names, found.meta) == (tuple(NAMES), dict(kind='text', projected=True))
    # Plain torch reads it too: it holds nothing but tensors, text and numbers.
    assert torch.load(path, weights_only=True)['names'] == NAMES


@pytest.mark.parametrize(
    'options',
    [
        dict(),  # CosineLinear
        dict(type='TripartiteHead', joint='softmax'),  # NormedLinear with a bias
        dict(type='TripartiteHead', classifier=dict(type='torch.nn.Linear')),
        dict(type='TripartiteHead', classifier=dict(type='CosineBiasLinear')),
        dict(type='LinearClsHead'),
    ],
    ids=lambda options: str(options.get('classifier', options)).replace(' ', ''),
)
def test_the_classifier_is_exactly_these_rows(file, options):
    path, rows = file
    begun = head(path, **options)
    layer = begun.fc if options.get('type') == 'LinearClsHead' else begun.classifier
    before = layer.weight.detach().clone()
    begun.init_weights()
    assert not torch.equal(before, rows)
    assert torch.equal(layer.weight, rows)
    assert layer.weight.requires_grad
    if getattr(layer, 'bias', None) is not None:
        assert torch.equal(layer.bias, torch.zeros(3))
    if not options:  # s cos(w, w) = s for each class's own vector
        torch.testing.assert_close(begun((rows,)).diagonal(), torch.full((3,), 32.0))


def test_every_expert_begins_from_them(file):
    path, rows = file
    begun = head(path, type='ExpertsHead', num_experts=2)
    begun.init_weights()
    assert [torch.equal(one.classifier.weight, rows) for one in begun.experts] == [True, True]
    with pytest.raises(ValueError, match='init_cfg has no effect in an expert'):
        head(path, type='ExpertsHead', init_cfg=None, head=dict(init_cfg=begun.init_cfg))


def written(path, **changes):
    torch.save(dict(class_vectors=torch.eye(3, 4), names=NAMES, meta={}) | changes, path)
    return str(path)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(class_vectors=torch.eye(2, 4), names=None), 'a.pth has 2 classes, DBMHead has 3'),
        (dict(class_vectors=torch.eye(3, 5)), 'are 5 wide, the classifier of DBMHead 4: they are '
                                              'of another backbone'),
        (dict(class_vectors=torch.eye(3, 5), meta=dict(projected=False)), 'without --no-projec'),
        (dict(class_vectors=torch.eye(3, 4) / 0), r"row 0 \('sea_lion'\) .* is not finite"),
        (dict(class_vectors=torch.eye(4, 3)[[0, 3, 1]]), r"row 1 \('maple tree'\) .* is zero"),
        (dict(class_vectors=torch.eye(3, 4) * 2), 'row 0 has length 2, expected 1'),
        (dict(class_vectors=torch.eye(3, 4).int()), 'must be real numbers, got torch.int32'),
        (dict(class_vectors=torch.ones(4)), r'must be \(K, D\), got \(4,\)'),
        (dict(names=['a', 'b']), '3 class vectors, but 2 names'),
        (dict(names=[1, 2, 3]), 'names must be a list of text'),
        (dict(meta='x'), 'meta must be a dict'),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused(tmp_path, changes, message):
    begun = head(written(tmp_path / 'a.pth', **changes))
    with pytest.raises(ValueError, match=message) as error:
        begun.init_weights()
    assert '\n' not in str(error.value)


def test_what_is_no_file_of_class_vectors_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none.pth do not exist .*class_vectors.py'):
        head(str(tmp_path / 'none.pth')).init_weights()
    torch.save(dict(state_dict={}, meta={}), tmp_path / 'checkpoint.pth')
    with pytest.raises(ValueError, match='holds no class vectors: .* got state_dict, meta'):
        load_class_vectors(tmp_path / 'checkpoint.pth')

    class Command:
        def __reduce__(self):
            return os.system, (f'touch {tmp_path}/mark',)

    torch.save(dict(class_vectors=Command(), names=None, meta={}), tmp_path / 'hostile.pth')
    with pytest.raises(CheckpointError, match='hostile.pth cannot be loaded'):
        load_class_vectors(tmp_path / 'hostile.pth')
    assert not (tmp_path / 'mark').exists()


def test_a_module_without_a_linear_classifier_is_refused(file):
    neck = MODELS.build(dict(type='GlobalAveragePooling'))
    with pytest.raises(TypeError, match='a linear classifier, GlobalAveragePooling has none'):
        ClassVectorsInit(file[0])(neck)


@pytest.mark.parametrize('kind', ['ClassVectors', 'mmlt.ClassVectors'])
def test_the_scopes_of_configs_find_it_and_a_resumed_run_drops_it(file, kind):
    path, rows = file
    begun = head(path, init_cfg=[dict(type='Normal', layer='Linear'), dict(type=kind, file=path)])
    if kind == 'ClassVectors':
        begun.init_weights()
        assert torch.equal(begun.classifier.weight, rows)
    assert drop_class_vectors(begun) == [path]
    assert begun.init_cfg == [dict(type='Normal', layer='Linear')]


@pytest.mark.parametrize(
    ('name', 'other', 'same'),
    [('sea_lion', 'Sea lion', True), ('maple  tree', 'maple_tree', True), ('bee', 'bees', False)],
)
def test_names_are_the_same_but_for_case_and_underscores(name, other, same):
    assert (plain_name(name) == plain_name(other)) is same
