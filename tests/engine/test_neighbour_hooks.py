"""Hooks of mmpretrain beside ours, in real runs."""

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmlt  # noqa: F401

VIEWS = [
    dict(
        type='MultiView',
        num_views=[1, 2],
        transforms=[[dict(type='RandomFlip', prob=0.5)], [dict(type='RandomFlip', prob=0.5)]],
    ),
    dict(type='PackInputs'),
]


def config(tmp_path, name, data, preprocessor, head):
    loader = dict(
        batch_size=32, num_workers=0, collate_fn=dict(type='default_collate'),
        sampler=dict(type='DefaultSampler', shuffle=True),
    )  # fmt: skip
    normalize = dict(mean=[8.0] * 3, std=[6.0] * 3, num_classes=10)
    return Config(
        dict(
            default_scope='mmpretrain', work_dir=str(tmp_path), experiment_name=name,
            model=dict(
                type='ImageClassifier', backbone=dict(type='CifarResNet', depth=20),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(num_classes=10, in_channels=64, class_counts='digits-lt-if50', **head),
            ),
            data_preprocessor=dict(normalize, **preprocessor),
            train_dataloader=dict(loader, dataset=data),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            default_hooks=dict(
                checkpoint=None, precise=dict(type='PreciseBNHook', priority='ABOVE_NORMAL'),
            ),
            log_level='ERROR', visualizer=None,
        )
    )  # fmt: skip


def digits(pipeline):
    inner = dict(type='DigitsLT', split='train', pipeline=pipeline)
    return dict(type='LongTailedDataset', class_counts='digits-lt-if50', dataset=inner)


CASES = {
    'bcl': (
        digits(VIEWS),
        dict(type='MultiViewDataPreprocessor', views='pipeline'),
        dict(type='BCLHead'),
    ),
    'partners': (
        dict(type='MixPartnerDataset', dataset=digits([dict(type='PackInputs')])),
        dict(type='MultiViewDataPreprocessor', partner='weighted'),
        dict(type='BCE3SHead'),
    ),
    'mixed': (
        digits([dict(type='PackInputs')]),
        dict(type='MultiViewDataPreprocessor'),
        dict(type='BCE3SHead'),
    ),
}


@pytest.mark.parametrize('name', CASES)
def test_precise_batch_norm_takes_the_statistics_of_training_images(tmp_path, name):
    runner = Runner.from_cfg(config(tmp_path, f'precise-{name}', *CASES[name]))
    runner.train()
    # By hand: images that are flipped or not have one mean and variance at the first layer.
    model = runner.model
    data = runner.train_dataloader.dataset
    while hasattr(data, 'dataset'):
        data, drawn = data.dataset, data
    images = torch.stack(
        [torch.as_tensor(drawn.get_data_info(i)['img']) for i in range(len(drawn))]
    )
    images = (images.permute(0, 3, 1, 2).float() - 8) / 6
    bn = next(m for m in model.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d))
    conv = next(m for m in model.backbone.modules() if isinstance(m, torch.nn.Conv2d))
    images = torch.cat([images, images.flip(3)]) if name == 'bcl' else images
    wanted = conv(images).mean(dim=(0, 2, 3))
    torch.testing.assert_close(bn.running_mean, wanted, atol=0.1, rtol=0.05)
    assert torch.isfinite(bn.running_var).all()


def test_several_views_in_a_test_are_still_refused(tmp_path):
    data, preprocessor, _ = CASES['bcl']
    built = Runner.from_cfg(config(tmp_path, 'views-in-test', *CASES['bcl']))
    model = built.model.eval()
    loader = Runner.build_dataloader(
        dict(
            batch_size=4, num_workers=0, dataset=data, collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False),
        )
    )  # fmt: skip
    with pytest.raises(ValueError, match='MultiView belongs in the training pipeline'):
        model.test_step(next(iter(loader)))
