"""A data worker that inherits nothing has the mends of this process."""

import numpy as np
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image

import mmlt  # noqa: F401


def test_a_stock_dataset_turns_its_hue_in_a_spawned_worker(tmp_path):
    init_default_scope('mmpretrain')
    for name in 'ab':
        (tmp_path / name).mkdir()
        for i in range(8):
            pixels = np.random.RandomState(i).randint(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f'{i}.png')
    # Only mmpretrain's and mmcv's: nothing here makes the worker import mmlt.
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='ColorJitter', hue=0.5),
        dict(type='PackInputs'),
    ]
    loader = Runner.build_dataloader(
        dict(
            batch_size=16, num_workers=1, multiprocessing_context='spawn',
            dataset=dict(type='CustomDataset', data_root=str(tmp_path), pipeline=steps),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        ),
        seed=0,
    )  # fmt: skip
    (batch,) = loader
    assert batch['inputs'].shape == (16, 3, 8, 8)
