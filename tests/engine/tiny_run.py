"""A run of milliseconds for the tests of hooks: real Runner, real loops, a model of 30 weights."""

import uuid

import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

import mmlt  # noqa: F401

GUARDS = {
    'strict_load': {'type': 'StrictLoadHook'},
    'finite_loss': {'type': 'FiniteLossHook'},
    'stop_signal': {'type': 'StopSignalHook'},
    'exact_resume': {'type': 'ExactResumeHook'},
    'epoch_seed': {'type': 'EpochSeedHook'},
}


class Images(torch.utils.data.Dataset):
    """Samples with noise that is drawn when they are read, as augmentations are."""

    metainfo = {'classes': ('a', 'b')}

    def __init__(self, size=14):
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(size, 3, generator=generator)

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, i):
        return {
            'inputs': self.inputs[i] + 0.1 * torch.randn(3),
            'labels': i % 2,
            'path': f'{i}.png',
        }


class TinyModel(BaseModel):
    """Two layers with BatchNorm and dropout: parameters, statistics and random numbers."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.head = nn.Linear(4, 2)
        self.spoil = None  # a function of the loss

    def forward(self, inputs, labels, path, mode='loss'):
        logits = self.head(self.backbone(inputs))
        if mode != 'loss':
            return [logits]
        loss = nn.functional.cross_entropy(logits, labels)
        loss = self.spoil(loss) if self.spoil else loss
        return {'loss_ce': loss, 'loss_small': 1e-3 * logits.square().mean()}


class Score(BaseMetric):
    """Some score."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {'score': 0.5}


def collate(samples):
    return torch.utils.data.default_collate(samples)


def tiny_run(work_dir, epochs=3, workers=0, hooks=None, **options) -> Runner:
    def loader(size, shuffle):
        return {
            'dataset': Images(size),
            'sampler': {'type': DefaultSampler, 'shuffle': shuffle},
            'collate_fn': collate,
            'batch_size': 2,
            'num_workers': workers,
        }

    torch.manual_seed(0)
    checkpoint = {'type': 'SafeCheckpointHook', 'interval': 1}
    settings = {
        'model': TinyModel(),
        'work_dir': str(work_dir),
        'train_dataloader': loader(14, True),
        'train_cfg': {'by_epoch': True, 'max_epochs': epochs},
        'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}},
        'param_scheduler': [{'type': 'LinearLR', 'start_factor': 0.1, 'end': 9, 'by_epoch': False}],
        'val_dataloader': loader(2, False),
        'val_cfg': {},
        'val_evaluator': {'type': Score},
        'default_hooks': {'checkpoint': checkpoint, **GUARDS, **(hooks or {})},
        'randomness': {'seed': 0},
        'default_scope': 'mmpretrain',
        'experiment_name': uuid.uuid4().hex,  # runners of one second would share their logs
        'log_level': 'ERROR',
    }
    return Runner(**{**settings, **options})


def weights(path) -> dict:
    return torch.load(path, weights_only=True)['state_dict']


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
