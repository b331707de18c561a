"""The order of the images in a resumed run whose seed is the checkpoint's."""

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from test_training import CONFIG, differing, short_run, states


class Order(Hook):
    """Note the seed of the sampler and the images in the order in which they come."""

    def __init__(self):
        self.seeds, self.images = [], {}

    def before_train_epoch(self, runner):
        self.seeds.append(runner.train_dataloader.sampler.seed)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        numbers = [sample.sample_idx for sample in data_batch['data_samples']]
        self.images.setdefault(runner.epoch, []).extend(numbers)


def ordered_run(work_dir, seed=None, max_epochs=3, **options):
    options = {'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None} | options
    runner = short_run(work_dir, max_epochs, 9, **{'randomness': dict(seed=seed)}, **options)
    order = Order()
    runner.register_hook(order)
    runner.train()
    return runner, order


@pytest.mark.parametrize('resume_seed', [None, 11])
def test_resumed_run_without_a_seed_visits_the_images_of_the_unbroken_one(resume_seed, tmp_path):
    options = {'default_hooks.checkpoint.max_keep_ckpts': -1}
    whole, unbroken = ordered_run(tmp_path / 'run', **options)
    first = states(tmp_path / 'run', 1)
    (tmp_path / 'broken').mkdir()
    torch.save(first, tmp_path / 'broken' / 'first.pth')
    resume = dict(resume=True, load_from=str(tmp_path / 'broken' / 'first.pth'))
    again, resumed = ordered_run(tmp_path / 'broken', seed=resume_seed, **resume)
    assert again.seed == whole.seed
    assert resumed.seeds == unbroken.seeds[1:] == [whole.seed] * 2
    assert resumed.images == {epoch: unbroken.images[epoch] for epoch in (1, 2)}
    last = [states(tmp_path / name, 3)['state_dict'] for name in ('run', 'broken')]
    assert differing(*last) == []


@pytest.mark.parametrize(
    'options',
    [{'train_dataloader.sampler.seed': 5}, {'randomness.diff_rank_seed': True}],
    ids=['in the config', 'diff_rank_seed'],
)
def test_sampler_with_a_seed_of_its_own_keeps_it(options, tmp_path):
    ordered_run(tmp_path, max_epochs=1, **options)
    runner = short_run(tmp_path, 2, 9, resume=True, **{'randomness.seed': None}, **options)
    built_with = runner.train_loop.dataloader.sampler.seed
    order = Order()
    runner.register_hook(order)
    runner.train()
    assert order.seeds == [built_with]
    assert built_with != runner.seed


class Draw(Hook):
    """Note what is drawn before each iteration."""

    def __init__(self):
        self.drawn = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.drawn[runner.iter] = torch.rand(3).tolist()


def iteration_run(work_dir, max_iters, resume=False):
    cfg = Config.fromfile(CONFIG)
    cfg.work_dir, cfg.experiment_name = str(work_dir), f'{work_dir.name}-{max_iters}'
    cfg.train_cfg = dict(by_epoch=False, max_iters=max_iters)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=2)
    for name in ('class_counts_check', 'retraining'):
        cfg.default_hooks.pop(name)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.param_scheduler, cfg.custom_hooks, cfg.resume = [], [], resume
    runner = Runner.from_cfg(cfg)
    draw = Draw()
    runner.register_hook(draw)
    runner.train()
    return draw.drawn


def test_a_resumed_run_that_counts_iterations_does_not_repeat_its_start(tmp_path):
    start = iteration_run(tmp_path, 2)
    resumed = iteration_run(tmp_path, 4, resume=True)
    assert (list(start), list(resumed)) == ([0, 1], [2, 3])
    assert resumed[2] != start[0]


@pytest.mark.parametrize('workers', [1, 2])
def test_workers_that_persist_draw_what_new_ones_draw(workers, tmp_path):
    """Three epochs, and one that is resumed: the weights of workers that start with each epoch."""
    options = {
        'train_dataloader.num_workers': workers,
        'default_hooks.checkpoint.max_keep_ckpts': -1,
        'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None,
    }  # fmt: skip
    for name, persistent in (('anew', False), ('kept', True)):
        loader = {'train_dataloader.persistent_workers': persistent}
        short_run(tmp_path / name, 3, 9, **options, **loader).train()
    anew, kept = (states(tmp_path / name, 3)['state_dict'] for name in ('anew', 'kept'))
    assert differing(anew, kept) == []
    (tmp_path / 'broken').mkdir()
    torch.save(states(tmp_path / 'kept', 2), tmp_path / 'broken' / 'second.pth')
    resume = dict(resume=True, load_from=str(tmp_path / 'broken' / 'second.pth'))
    loader = {'train_dataloader.persistent_workers': True}
    short_run(tmp_path / 'broken', 3, 9, **options, **loader, **resume).train()
    assert differing(anew, states(tmp_path / 'broken', 3)['state_dict']) == []
