"""Two processes save what they validated: the mean of their BatchNorm statistics."""

import tempfile
from pathlib import Path

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import broadcast_object_list, get_rank
from mmengine.hooks import Hook
from tiny_run import Images, collate, tiny_run, weights
from two_processes import on_two_processes

RUNS = dict(
    epochs=dict(),
    epochs_ema=dict(hooks=dict(ema=dict(type='EMAHook'))),
    epochs_ema_buffers=dict(hooks=dict(ema=dict(type='EMAHook', update_buffers=True))),
    iters=dict(by_iters=True),
    iters_ema=dict(by_iters=True, hooks=dict(ema=dict(type='EMAHook'))),
)


class Validated(Hook):
    """Notes the statistics that a validation uses."""

    priority = 'VERY_LOW'  # after an EMAHook has changed the weights

    def before_val_epoch(self, runner):
        norm = runner.model.backbone[1]
        self.statistics = torch.stack([norm.running_mean, norm.running_var]).clone()


def train(folder: str, by_iters=False, hooks=None) -> dict:
    """A run in which each process has images of its own; what was validated, own and saved."""
    hooks = dict(sync_buffers=dict(type='SyncBuffersHook')) | (hooks or {})
    loader = dict(type=DefaultSampler, shuffle=True)
    loader = dict(dataset=Images(16), sampler=loader, collate_fn=collate, batch_size=2)
    options = dict(train_dataloader=dict(loader, num_workers=0))
    if by_iters:
        checkpoint = dict(type='SafeCheckpointHook', interval=4, by_epoch=False)
        hooks['checkpoint'] = checkpoint
        options['train_cfg'] = dict(by_epoch=False, max_iters=4, val_interval=4)
    runner = tiny_run(folder, epochs=1, hooks=hooks, **options)
    runner.train_dataloader.dataset.inputs += 3 * get_rank()
    noted = Validated()
    runner.register_hook(noted)
    runner.train()
    return dict(validated=noted.statistics, folder=folder)


def runs() -> dict:
    found = {}
    for name, options in RUNS.items():
        folder = [tempfile.mkdtemp() if get_rank() == 0 else None]
        broadcast_object_list(folder)  # one work dir for both
        found[name] = train(folder[0], **options)
    return found


@pytest.fixture(scope='module')
def both(tmp_path_factory):
    return on_two_processes(runs, tmp_path_factory.mktemp('ranks'))


@pytest.mark.parametrize('name', RUNS)
def test_the_checkpoint_has_the_statistics_that_were_validated(name, both):
    first, second = (rank[name]['validated'] for rank in both)
    # The second process has images that are brighter by 3: its own statistics would be others.
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    (path,) = Path(both[0][name]['folder']).glob('*_[148].pth')
    saved = weights(path)
    for row, key in zip(first, ('running_mean', 'running_var')):
        assert torch.equal(saved[f'backbone.1.{key}'], row), key
