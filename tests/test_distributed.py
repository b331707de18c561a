"""Two gloo processes with half the batch each against one process with the whole batch."""

import itertools
import random
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import SyncBuffersHook
from mmengine.model import MMDistributedDataParallel
from mmpretrain.registry import METRICS, MODELS
from mmpretrain.structures import DataSample
from two_processes import on_two_processes

import mmlt  # noqa: F401
from mmlt.engine.hooks import EpochSeedHook
from mmlt.models.class_vectors import save_class_vectors
from mmlt.models.slots import Batch, CompanionOutput

NUM_CLASSES, WIDTH, STEPS = 6, 8, 4
DRW = dict(type='DBMHead', joint=dict(type='ClassBalancedLoss', average='weights',
                                      criterion=dict(type='SoftmaxPairLoss')))  # fmt: skip
# A small scale: at 32 the rounding of float32 is larger than what is compared.
NCL = dict(type='NCLHead', classifier=dict(type='CosineLinear', scale=4.0),
           margin=dict(type='DBMMargin'), neck=dict(size=10))  # fmt: skip
GML = dict(type='GMLHead', classifier=dict(scale=4.0), margin=dict(type='DBMMargin'),
           queue_size=20, temperature=0.5)  # fmt: skip
BCL = dict(type='BCLHead', neck=dict(hidden_channels=7, out_channels=5))


def scenarios() -> dict:
    """Everything that is run both on one process and on two."""
    return dict(
        equal=train_steps([4, 4]),
        unequal=train_steps([5, 3]),
        bcl=train_steps([4, 4], views=3, **BCL),
        drw=train_steps([4, 4], **DRW),
        ncl=train_steps([4, 4], **NCL),
        gml=train_steps([4, 4], views=2, **GML),
        gml_unequal=train_steps([5, 3], views=2, **GML),
        ncl_unequal=train_steps([5, 3], **NCL),
        tuned={tuner: tune(tuner) for tuner in ('AdaptFormer', 'BitFit', 'VisualPrompts')},
        bcl_unequal=contrast_of_unequal_batches([5, 3]),
        averaged=average_buffers(),
        metrics=evaluate_with_padding(),
        draws=draws_of_epochs(),
        started=started_classifier(),
    )


@pytest.fixture(scope='module')
def on_two(tmp_path_factory):
    """Results of the scenarios on rank 0 and rank 1."""
    # Started once for all tests: importing the stack takes longer than the scenarios.
    return on_two_processes(scenarios, tmp_path_factory.mktemp('ranks'))


@pytest.fixture(scope='module')
def on_one():
    """Results of the scenarios on this process alone."""
    return scenarios()


def started_classifier() -> torch.Tensor:
    """The rows of a head that begins from class vectors; each process reads a file of its own."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(NUM_CLASSES, WIDTH, generator=generator)
    with tempfile.TemporaryDirectory() as folder:
        save_class_vectors(f'{folder}/a.pth', rows, None, {})
        start = dict(type='ClassVectors', file=f'{folder}/a.pth')
        head = MODELS.build(dict(type='TripartiteHead', num_classes=NUM_CLASSES, in_channels=WIDTH,
                                 joint='softmax', init_cfg=start))  # fmt: skip
        torch.manual_seed(get_rank())
        head.init_weights()
    return head.classifier.weight.detach()


def my_rows(sizes: list[int]) -> slice:
    """This process's part of the joined batch of ``sizes`` rows."""
    if get_world_size() == 1:
        return slice(0, sum(sizes))
    return slice(sum(sizes[: get_rank()]), sum(sizes[: get_rank() + 1]))


def build_head(**options):
    torch.manual_seed(0)
    config = dict(
        type='BCE3SHead',
        num_classes=NUM_CLASSES,
        in_channels=WIDTH,
        class_counts=[8, 7, 4, 3, 1, 1],
    )
    if 'type' not in options:
        config['negative_ratio'] = 1.0
    head = MODELS.build(config | options)
    # A backbone for the gradient to go through.
    return torch.nn.ModuleDict(dict(backbone=torch.nn.Linear(WIDTH, WIDTH), head=head))


class Wrapped(torch.nn.Module):
    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def forward(self, features, samples, companions):
        head, features = self.parts['head'], self.parts['backbone'](features)
        number = len(getattr(head, 'experts', (head,)))
        return head.loss((features,) * number, samples, **companions)


def companions_of(options, generator, sizes) -> dict:
    """What a momentum encoder or a teacher makes of this process's rows."""
    key = torch.randn(sum(sizes), WIDTH, generator=generator)[my_rows(sizes)]
    logits = torch.randn(sum(sizes), NUM_CLASSES, generator=generator)[my_rows(sizes)]
    output = CompanionOutput({1: (key,)}, {0: logits}, momentum=0.9)
    return {'NCLHead': dict(momentum=output), 'GMLHead': dict(teacher=output)}.get(
        options.get('type'), {}
    )


def train_steps(sizes, views=1, **options):
    """Losses, gradients and state of a few steps of SGD on batches of ``sizes`` rows."""
    module = Wrapped(build_head(**options))
    model = module
    if get_world_size() > 1:
        model = MMDistributedDataParallel(module, device_ids=None, broadcast_buffers=False)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    generator = torch.Generator().manual_seed(1)
    history = []
    for _ in range(STEPS):
        features = torch.randn(views, sum(sizes), WIDTH, generator=generator)
        labels = torch.randint(NUM_CLASSES, (sum(sizes),), generator=generator)
        rows = my_rows(sizes)
        ids = range(sum(sizes))[rows]
        samples = [
            DataSample(metainfo=dict(view=view, sample_idx=i)).set_gt_label(label)
            for view in range(views)
            for i, label in zip(ids, labels[rows].tolist())
        ]
        companions = companions_of(options, generator, sizes)
        optimizer.zero_grad()
        losses = model(features[:, rows].flatten(0, 1), samples, companions)
        sum(losses.values()).backward()
        grads = {n: p.grad.clone() for n, p in module.named_parameters() if p.requires_grad}
        optimizer.step()
        state = {k: v for k, v in module.parts['head'].state_dict().items() if 'slots.' in k}
        state = {k.replace('slots.', '', k.startswith('slots.')): v for k, v in state.items()}
        history.append(
            dict(
                losses={name: loss.detach() for name, loss in losses.items()},
                grads=grads,
                state={name: value.clone() for name, value in state.items()},
            )
        )
    return history


def tune(tuner):
    """What is saved of a tuned model after a few steps."""
    torch.manual_seed(0)
    arch = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=32)
    model = MODELS.build(
        dict(
            type='TunedClassifier',
            tuner=dict(type=tuner),
            saved='trained',
            backbone=dict(type='VisionTransformer', arch=arch, img_size=16, patch_size=8),
            head=dict(type='DBMHead', num_classes=3, in_channels=24, class_counts=[9, 5, 2],
                      scale=4.0),
        )
    )  # fmt: skip
    model.load_state_dict({f'backbone.{k}': v for k, v in model.frozen().items()}, strict=False)
    run = model
    if get_world_size() > 1:
        run = MMDistributedDataParallel(model, device_ids=None, broadcast_buffers=False)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(3))[my_rows([2, 2])]
    samples = [DataSample().set_gt_label(k) for k in (0, 2, 1, 0)][my_rows([2, 2])]
    run.train()
    for _ in range(STEPS):
        optimizer.zero_grad()
        run(images, samples, mode='loss')['loss_joint'].backward()
        optimizer.step()
    return model.state_dict()


def contrast_of_unequal_batches(sizes):
    """BCL's contrast, whose loss is that of the joined batch whatever each process holds."""
    neck = build_head(contrast_weight=1.0, **BCL)['head'].slots['contrast']
    generator = torch.Generator().manual_seed(2)
    views = torch.randn(2, sum(sizes), WIDTH, generator=generator)
    labels = torch.randint(NUM_CLASSES, (sum(sizes),), generator=generator)
    class_vectors = torch.randn(NUM_CLASSES, WIDTH, generator=generator)
    mine = views[:, my_rows(sizes)].requires_grad_()
    classifier = torch.nn.Linear(WIDTH, NUM_CLASSES)
    classifier.weight = torch.nn.Parameter(class_vectors)
    # The plain view, which the contrast leaves alone, and the two that it compares.
    batch = Batch([mine[0], *mine], [labels[my_rows(sizes)]] * 3, classifier)
    loss = neck(batch)
    loss.backward()
    return loss.detach(), mine.grad / get_world_size()


def draws_of_epochs() -> dict:
    """What the generators of this process and of its data workers draw in two epochs."""
    hook, draws = EpochSeedHook(), {}
    loader = torch.utils.data.DataLoader(range(4), num_workers=0)
    loop = SimpleNamespace(max_epochs=2)
    for epoch in (0, 1):
        runner = SimpleNamespace(
            seed=3, epoch=epoch, iter=epoch, train_loop=loop, train_dataloader=loader
        )
        hook.before_train_epoch(runner)
        draws[epoch] = (random.random(), float(np.random.rand()), float(torch.rand(())))
        loader.worker_init_fn(0)
        draws[epoch] += (random.random(), float(np.random.rand()), float(torch.rand(())))
    return draws


def average_buffers():
    """The bank after the runner has averaged all buffers over the processes."""
    model = build_head()
    neck = model['head'].slots['contrast']
    # Different on the two ranks, which it never is in training: averaging would show.
    neck.bank.data.fill_(1.0 + get_rank())
    neck.seen.data.fill_(3.0 + get_rank())
    norm = torch.nn.BatchNorm1d(2)
    norm.running_mean.fill_(float(get_rank()))
    model['norm'] = norm
    SyncBuffersHook().after_train_epoch(SimpleNamespace(model=model))
    return [neck.bank.data, neck.seen.data, norm.running_mean]


def evaluate_with_padding():
    """ShotAccuracy of 7 samples; a sampler of two processes pads them to 8."""
    metric = METRICS.build(dict(type='ShotAccuracy', class_counts=[200, 50, 5]))
    pairs = [(0, 0), (1, 0), (1, 1), (2, 2), (0, 2), (1, 1), (0, 1)]
    indices = list(range(7)) + ([0] if get_world_size() > 1 else [])
    for index in indices[get_rank() :: get_world_size()]:
        prediction, label = pairs[index]
        metric.process(None, [dict(pred_label=[prediction], gt_label=[label])])
    return metric.evaluate(size=7)


@pytest.mark.parametrize('scenario', ['equal', 'bcl', 'drw', 'ncl', 'gml'])
def test_two_processes_equal_one_on_the_joined_batch(scenario, on_one, on_two):
    # BCE3S's bank is filled by then.
    assert all(loss > 0 for loss in on_one[scenario][-1]['losses'].values())
    for step, one in enumerate(on_one[scenario]):
        both = [rank[scenario][step] for rank in on_two]
        for name, loss in one['losses'].items():
            mean = (both[0]['losses'][name] + both[1]['losses'][name]) / 2
            torch.testing.assert_close(mean, loss)
        for rank in both:
            torch.testing.assert_close(rank['grads'], one['grads'])
            # The bank, and the statistics of BatchNorm in BCL's projector.
            torch.testing.assert_close(rank['state'], one['state'])


def test_tuners_of_two_processes_equal_those_of_one(on_one, on_two):
    for tuner, one in on_one['tuned'].items():
        first, second = (rank['tuned'][tuner] for rank in on_two)
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        torch.testing.assert_close(first, one)


def test_the_contrast_of_the_joined_batch_is_the_same_on_all_processes(on_one, on_two):
    loss, grad = on_one['bcl_unequal']
    for rank in on_two:
        torch.testing.assert_close(rank['bcl_unequal'][0], loss)
    grads = torch.cat([rank['bcl_unequal'][1] for rank in on_two], dim=1)
    torch.testing.assert_close(grads, grad)


def test_banks_agree_when_batches_differ_in_size(on_two):
    first, second = (rank['unequal'] for rank in on_two)
    for one, other in zip(first, second):
        torch.testing.assert_close(one['state'], other['state'], rtol=0, atol=0)
    assert sum(first[-1]['state']['contrast.seen']) == STEPS * 8


@pytest.mark.parametrize('scenario', ['ncl_unequal', 'gml_unequal'])
def test_queues_agree_when_batches_differ_in_size(scenario, on_one, on_two):
    for step, one in enumerate(on_one[scenario]):
        first, second = (rank[scenario][step]['state'] for rank in on_two)
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        for name in one['state']:
            if name.endswith('pointer'):
                assert torch.equal(one['state'][name], first[name])
            # GML's loss is that of the joined batch, whatever each process holds.
            elif scenario == 'gml_unequal' and step == 0:
                torch.testing.assert_close(one['state'][name], first[name])


def test_buffer_averaging_leaves_the_bank_alone(on_two):
    for rank, results in enumerate(on_two):
        bank, seen, running_mean = results['averaged']
        assert torch.equal(bank, torch.full_like(bank, 1.0 + rank))
        assert torch.equal(seen, torch.full_like(seen, 3.0 + rank))
        assert torch.equal(running_mean, torch.full((2,), 0.5))  # the hook did run


def test_every_process_and_epoch_draws_numbers_of_its_own(on_one, on_two):
    # Else two processes would mix with the same weights and keep the same negatives.
    draws = [parts[epoch] for parts in (on_two[0]['draws'], on_two[1]['draws']) for epoch in (0, 1)]
    for one, other in itertools.combinations(draws, 2):
        assert all(a != b for a, b in zip(one, other))
    assert on_one['draws'] == on_two[0]['draws']


def test_padded_samples_do_not_count(on_one, on_two):
    assert on_one['metrics']['shot/all'] == pytest.approx(100 * 4 / 7)
    assert [rank['metrics'] for rank in on_two] == [on_one['metrics']] * 2


def test_two_processes_begin_from_the_same_class_vectors(on_one, on_two):
    assert torch.equal(on_two[0]['started'], on_one['started'])
    assert torch.equal(on_two[1]['started'], on_one['started'])
