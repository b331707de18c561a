"""Random numbers that depend on the epoch and not on what ran before it."""

from functools import partial

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, set_random_seed
from mmpretrain.registry import HOOKS
from torch.utils.data import get_worker_info

from mmlt.compat import worker_init_fn


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed Python, NumPy, torch and the data workers anew for each (seed, epoch, rank).

    A checkpoint does not hold the states of the generators. With this hook it need not: a run that
    was resumed at an epoch draws the numbers of the unbroken run, so it ends in the same weights.
    It also gives each process other mixing weights and negatives, and each epoch other
    augmentations: mmengine starts the workers of every epoch from the same seed.

    Workers that persist (``persistent_workers=True``) seed themselves anew at the first image of an
    epoch: they draw the numbers of workers that were started for it.

    A run that counts iterations (``IterBasedTrainLoop``) is seeded once, at its start; resumed, it
    is seeded by the iteration too, and goes on with other random numbers than the unbroken run.

    The runner's seed is ``randomness=dict(seed=...)``, or the one that mmengine drew. A checkpoint
    knows it, and a resumed run takes it over from there; mmengine does so after it built the
    sampler, so the sampler of the training set, if it had the runner's seed, is given the new one.
    Not so under ``diff_rank_seed``: there the sampler draws a seed of its own, which is in no
    checkpoint, and a resumed run visits the images in another order.

    Example:
        ``custom_hooks = [dict(type='EpochSeedHook')]``
    """

    # Before all others, so that whatever they draw is reproducible too.
    priority = 'VERY_HIGH'

    def before_run(self, runner) -> None:
        """Note the seed that the sampler was built with: no checkpoint has been loaded yet."""
        self._shared_seed = None
        self._built_with = runner.seed

    def before_train(self, runner) -> None:
        """Pass a resumed seed on to the sampler, unless that has a seed of its own."""
        loader = runner.train_dataloader
        for sampler in (loader.sampler, getattr(loader.batch_sampler, 'sampler', None)):
            if getattr(sampler, 'seed', None) == self._built_with:
                sampler.seed = runner.seed

    def before_train_epoch(self, runner) -> None:
        """Seed this process and the workers that the coming epoch starts."""
        # The sequence must differ for all (epoch, rank), and stay in NumPy's 32 bits.
        seed = runner.seed + 1_000_003 * (runner.epoch + 1) + 10_007 * get_rank()
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            # Its only epoch: a resumed run must not draw the numbers of the start again.
            seed += 15_485_863 * runner.iter
        seed %= 2**31
        set_random_seed(seed)
        loader = runner.train_dataloader
        if not getattr(loader, 'persistent_workers', False):
            loader.worker_init_fn = partial(
                worker_init_fn, num_workers=loader.num_workers, rank=0, seed=seed
            )
            return
        if self._shared_seed is None:
            self._shared_seed = torch.zeros((), dtype=torch.int64).share_memory_()
            loader.worker_init_fn = partial(
                _start_worker, num_workers=loader.num_workers, shared_seed=self._shared_seed
            )
            loader._iterator = None  # workers that a tool started before
        self._shared_seed.fill_(seed)
        if loader._iterator is not None:
            # Starting workers takes one number of this process's generator: so do we, who do not.
            torch.empty((), dtype=torch.int64).random_()


def _start_worker(worker_id: int, num_workers: int, shared_seed: torch.Tensor) -> None:
    """Let this worker seed itself anew whenever the shared seed has changed."""
    dataset = get_worker_info().dataset
    seeded_with = None

    def fetch(indices: list) -> list:
        nonlocal seeded_with
        if seeded_with != (seed := shared_seed.item()):
            worker_init_fn(worker_id, num_workers, rank=0, seed=seed)
            seeded_with = seed
        return [dataset[index] for index in indices]

    # What torch's fetcher takes in the place of ``dataset[index]``; it looks at the instance.
    dataset.__getitems__ = fetch
