"""A checkpoint fits, or is refused by name: load_from, resume, test."""

import math

import pytest
import torch
from mmengine.hooks import Hook
from tiny_run import tiny_run

from mmlt.checkpoint import CheckpointError


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('trained')
    tiny_run(folder, epochs=2).train()
    return folder / 'epoch_2.pth'


def without(*names):
    def change(checkpoint):
        for name in names:
            del checkpoint['state_dict'][name]

    return change


def changed(checkpoint, **entries):
    checkpoint['state_dict'].update(entries)


WEIGHT = 'head.weight'
MISFITS = {
    'no weights': (lambda c: c['state_dict'].clear(), 'holds no weights'),
    'one missing': (without('backbone.0.weight'), 'missing backbone.0.weight; is it of this'),
    'half of the head': (without('head.bias'), 'missing head.bias'),
    'all renamed': (
        lambda c: c.update(state_dict={f'old.{k}': v for k, v in c['state_dict'].items()}),
        'missing backbone.0.weight, .* and [0-9]+ more',
    ),
    'too many': (lambda c: changed(c, extra=torch.ones(1)), 'unexpected extra'),
    'other classes': (
        lambda c: changed(c, **{WEIGHT: torch.ones(5, 4)}),
        r'size mismatch for head.weight: .*\[5, 4\].*\[2, 4\]',
    ),
    'NaN': (
        lambda c: changed(c, **{WEIGHT: torch.full((2, 4), math.nan)}),
        'weights that are NaN, infinite or no numbers: head.weight',
    ),
    'text': (lambda c: changed(c, **{WEIGHT: 'text'}), 'no numbers: head.weight'),
}


def written(source, path, change):
    checkpoint = torch.load(source, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, path)
    return str(path)


def load_from(folder, path, **options):
    runner = tiny_run(folder / 'run', epochs=1, load_from=path, **options)
    runner.train()
    return runner


def resume(folder, path, **options):
    runner = tiny_run(folder / 'run', load_from=path, resume=True, **options)
    runner.train()
    return runner


def test(folder, path, **options):
    runner = tiny_run(folder / 'run', load_from=path, **options)
    runner.val()
    return runner


test.__test__ = False


@pytest.mark.parametrize('way', [load_from, resume, test])
@pytest.mark.parametrize('misfit', MISFITS)
def test_what_does_not_fit_is_refused(misfit, way, trained, tmp_path):
    change, message = MISFITS[misfit]
    path = written(trained, tmp_path / 'misfit.pth', change)
    with pytest.raises(CheckpointError, match=message) as error:
        way(tmp_path, path)
    assert '\n' not in str(error.value)
    assert 'misfit.pth' in str(error.value)


@pytest.mark.parametrize('way', [load_from, resume, test])
def test_what_fits_is_taken(way, trained, tmp_path):
    old = written(trained, tmp_path / 'old.pth', without('backbone.1.num_batches_tracked'))
    models = [way(tmp_path / name, path).model for name, path in (('a', str(trained)), ('b', old))]
    one, two = (model.state_dict() for model in models)
    assert all(torch.equal(one[key], two[key]) for key in one if 'batches' not in key)
    if way is test:
        saved = torch.load(trained, weights_only=True)['state_dict']
        assert all(torch.equal(one[key], saved[key]) for key in saved)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda c: c.pop('meta'), 'has no meta:'),
        (lambda c: c.pop('optimizer'), 'has no optimizer: .* begin a new run .* load_from'),
        (lambda c: c.pop('param_schedulers'), 'has no param_schedulers:'),
        (lambda c: c.pop('message_hub'), 'has no message_hub:'),
        (lambda c: (c.pop('message_hub'), c.pop('optimizer')), 'has no optimizer, message_hub:'),
        (lambda c: c['param_schedulers'].clear(), '0 param_schedulers, the config 1'),
        (lambda c: c['meta'].update(epoch=-1), r'meta.epoch must be .* <= 3, .* got -1'),
        (lambda c: c['meta'].update(epoch=1.5), 'got 1.5'),
        (lambda c: c['meta'].update(epoch=True), 'got True'),
        (lambda c: c['meta'].update(epoch='2'), "got '2'"),
        (lambda c: c['meta'].update(epoch=4), 'got 4'),
        (lambda c: c['meta'].update(epoch=None), 'got None'),
        (lambda c: c['meta'].update(iter=-7), 'meta.iter must be an integer >= 0, got -7'),
        (lambda c: c['meta'].update(batch='x'), 'meta.batch must be'),
        (lambda c: c['meta'].update(seed='x'), 'meta.seed must be'),
    ],
)
def test_a_run_is_resumed_with_all_it_needs_or_not_at_all(change, message, trained, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        resume(tmp_path, written(trained, tmp_path / 'part.pth', change))


def test_weights_alone_serve_load_from_and_test(trained, tmp_path):
    torch.save(torch.load(trained, weights_only=True)['state_dict'], tmp_path / 'alone.pth')
    for way in (load_from, test):
        way(tmp_path, str(tmp_path / 'alone.pth'))
    with pytest.raises(CheckpointError, match='has no state_dict, optimizer, message_hub, meta'):
        resume(tmp_path, str(tmp_path / 'alone.pth'))


def allow(**patterns):
    return {'hooks': {'strict_load': {'type': 'StrictLoadHook', **patterns}}, 'log_level': 'INFO'}


def test_a_config_says_what_may_differ_and_the_log_names_it(trained, tmp_path, capsys):
    def change(checkpoint):
        without('head.bias')(checkpoint)
        changed(checkpoint, **{WEIGHT: torch.ones(5, 4), 'old.a': torch.ones(1)})

    path = written(trained, tmp_path / 'other.pth', change)
    options = allow(missing=['head.*'], unexpected=['head.*', 'old.*'])
    load_from(tmp_path, path, **options)
    lines = [line for line in capsys.readouterr().out.splitlines() if 'allowed to differ' in line]
    assert len(lines) == 1
    wanted = 'allowed to differ: missing head.bias, unexpected old.a, reshaped head.weight'
    assert lines[0].endswith(wanted)
    for way in (resume, test):  # a prediction would be one of random numbers
        with pytest.raises(CheckpointError, match='does not fit'):
            way(tmp_path, path, **options)


def test_a_test_does_without_what_only_training_uses(trained, tmp_path):
    """As a published checkpoint: no projector, no bank."""

    class Slots(Hook):
        def before_run(self, runner):
            runner.model.head.slots = torch.nn.ModuleDict({'contrast': torch.nn.Linear(2, 2)})

    test(tmp_path, str(trained), custom_hooks=[Slots()])
    with pytest.raises(CheckpointError, match='missing head.slots.contrast.weight'):
        load_from(tmp_path, str(trained), custom_hooks=[Slots()])


def test_a_pattern_is_a_list():
    from mmlt.engine.hooks import StrictLoadHook

    with pytest.raises(TypeError, match="missing must be a list of patterns, got 'head'"):
        StrictLoadHook(missing='head')


def test_averaged_weights_are_checked_too(trained, tmp_path):
    ema = [{'type': 'EMAHook'}]
    tiny_run(tmp_path / 'ema', epochs=1, custom_hooks=ema).train()
    path = tmp_path / 'ema' / 'epoch_1.pth'
    for way in (load_from, resume, test):
        way(tmp_path, str(path), custom_hooks=ema)
        with pytest.raises(CheckpointError, match='missing head.bias'):
            way(tmp_path, written(path, tmp_path / 'x.pth', without('head.bias')), custom_hooks=ema)
