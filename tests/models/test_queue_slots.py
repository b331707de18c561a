"""The queues of NCL and GML: against loops, their state, gradients where they belong, bad input."""

import copy

import pytest
import torch
from mmengine.logging import MMLogger
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from reference import gml, ncl

import mmlt  # noqa: F401
from mmlt.models.slots import Batch, CompanionOutput

K, D, N = 4, 6, 5
COUNTS = [9, 5, 2, 1]
LABELS = torch.tensor([0, 1, 0, 3, 2])


def rows(seed, n=N, width=D):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed)).double()


def momentum_queue(seed=0, **options):
    torch.manual_seed(seed)
    spec = dict(type='MomentumQueue', in_channels=D, out_channels=3, size=8)
    return MODELS.build(spec | options).double()


def class_queue(seed=0, **options):
    torch.manual_seed(seed)
    spec = dict(type='ClassQueue', in_channels=D, num_classes=K, class_counts=COUNTS,
                teacher_channels=D - 1, out_channels=3, size=9, base=1)  # fmt: skip
    return MODELS.build(spec | options).double()


def samples(ids, folder=None):
    paths = [{} if folder is None else dict(img_path=f'{folder}/{i}.png') for i in ids]
    return [DataSample(metainfo=dict(sample_idx=i, **path)) for i, path in zip(ids, paths)]


def momentum_batch(seed=0, n=N, **options):
    output = CompanionOutput({1: (rows(seed + 100, n),)}, momentum=0.9)
    views = [rows(seed, n).requires_grad_()]
    return Batch(views, [LABELS[:n]], None, dict(momentum=output) | options)


def class_batch(seed=0, ids=range(N), labels=LABELS, folder=None, **options):
    output = CompanionOutput({0: (rows(seed + 200, width=D - 1),), 2: (rows(seed + 100, width=5),)})
    views = [rows(seed).requires_grad_(), rows(seed + 50).requires_grad_()]
    companions = dict(teacher=output) | options
    return Batch(views, [labels] * 2, None, companions, samples(ids, folder))


BATCHES = dict(
    MomentumQueue=(momentum_queue, momentum_batch), ClassQueue=(class_queue, class_batch)
)


# --- NCL ----------------------------------------------------------------------------------------


def mlp(x, projector, weights=None):
    first, last = [(layer.weight, layer.bias) for layer in (projector[0], projector[-1])]
    hidden = (x @ first[0].T + first[1]).clamp(min=0)
    return torch.nn.functional.normalize(hidden @ last[0].T + last[1]).tolist()


def test_momentum_queue_is_the_loop_over_several_steps():
    slot = momentum_queue()
    queue, copies = slot.queue.tolist(), None
    for step, number in enumerate([5, 3, 5, 2]):  # 8 slots: no batch has to divide them
        batch = momentum_batch(step, number)
        weights = [p.flatten().tolist() for p in slot.projector.parameters()]
        copies = [
            own if step == 0 else ncl.follow(before, own, 0.9)
            for own, before in zip(weights, copies or weights)
        ]
        loss = slot(batch)
        for parameter, wanted in zip(slot.key_projector.module.parameters(), copies):
            assert parameter.flatten().tolist() == pytest.approx(wanted)
        queries = mlp(batch.views[0], slot.projector)
        keys = mlp(batch.companions['momentum'].key, slot.key_projector.module)
        assert loss.item() == pytest.approx(ncl.n9(queries, keys, queue, 0.2), rel=1e-6)
        first = sum([5, 3, 5, 2][:step])
        for i, key in enumerate(keys):
            queue[(first + i) % 8] = key
        torch.testing.assert_close(slot.queue.data, torch.tensor(queue).double(), atol=1e-6, rtol=0)
        with torch.no_grad():  # a step of an optimizer
            for parameter in slot.projector.parameters():
                parameter.mul_(0.9)
    assert int(slot.pointer) == 15 % 8


def test_a_batch_larger_than_the_queue_leaves_its_last_keys():
    slot, keys = momentum_queue(size=3), rows(1, 5, 3)
    slot.write(keys)
    assert {tuple(row) for row in slot.queue.tolist()} == {tuple(row) for row in keys[2:].tolist()}


def test_gradient_goes_to_query_and_projector_alone():
    slot, batch = momentum_queue(), momentum_batch()
    slot(batch).backward()
    assert batch.views[0].grad.abs().max() > 0
    assert all(p.grad.abs().max() > 0 for p in slot.projector.parameters())
    assert all(p.grad is None for p in slot.key_projector.parameters())
    assert not batch.companions['momentum'].key.requires_grad


def test_a_key_that_is_not_finite_is_not_remembered():
    slot, keys = momentum_queue(), rows(1, 2, 3)
    before = slot.queue[1].clone()
    keys[1, 0] = float('inf')
    slot.write(keys)
    assert torch.equal(slot.queue[1], before)
    assert torch.equal(slot.queue[0], keys[0])


# --- GML ----------------------------------------------------------------------------------------


def embedded(slot, batch):
    """Embeddings of the batch and of the queue, as the slot is now."""
    with torch.no_grad():
        queries = slot.embedding(batch.views[-1])
        keys = slot.key_embedding(slot.queue)
    return [gml.unit(row) for row in queries.tolist()], [gml.unit(row) for row in keys.tolist()]


def test_class_queue_is_the_loop_over_several_steps():
    slot = class_queue()
    sizes = gml.sizes(COUNTS, 9, 1)
    classes = [c for c, number in enumerate(sizes) for _ in range(number)]
    loop = gml.Queue(sizes)
    for step in range(4):
        # Images that come again, of which old slots may still be there.
        ids = [(3 * step + i) % 7 for i in range(N)]
        batch = class_batch(step, ids, torch.tensor([0, 1, 0, 3, 2, 0, 1])[ids])
        loss = slot(batch)
        labels = batch.targets[0].tolist()
        loop.write(list(zip(ids, batch.companions['teacher'].key.tolist())), labels)
        slots = loop.slots()
        for j, item in enumerate(slots):
            if item is None:
                assert slot.image_ids[j] == -1
            else:
                assert slot.image_ids[j] == item[0]
                assert slot.queue[j].tolist() == item[1]
        e, keys = embedded(slot, batch)
        slot_ids = [None if item is None else item[0] for item in slots]
        wanted = gml.g2(e, keys, classes, labels, COUNTS, 0.1)
        wanted += gml.g3(e, keys, classes, labels, COUNTS, 0.1, ids, slot_ids)
        assert loss.item() == pytest.approx(wanted, rel=1e-6)


def test_one_slot_a_class_is_cross_entropy_of_the_cosines():
    slot = class_queue(class_counts=[1] * K, size=K)
    batch = class_batch(labels=torch.tensor([0, 1, 2, 3, 3]))
    ids = torch.arange(50.0, 50 + K)
    slot.write(rows(7, K, D - 1), torch.arange(K), ids, -torch.ones(K))
    slot.eval()
    loss = slot(batch)
    cosines = slot.cosines(batch.views[1]) / 0.1
    wanted = torch.nn.functional.cross_entropy(cosines, batch.targets[1])
    torch.testing.assert_close(loss, 2 * wanted)


def test_the_contrast_trains_the_embeddings_and_its_temperature_apart():
    def gradients(term):
        slot, batch = class_queue(), class_batch()
        terms = []
        criterion = slot.criterion.forward
        slot.criterion.forward = lambda *args: terms.append(criterion(*args)) or terms[-1]
        slot(batch)
        terms[term].backward()
        parts = dict(T=slot.log_temperature, g_s=slot.embedding[0].weight, f=batch.views[1],
                     g_t=slot.key_embedding[0].weight)  # fmt: skip
        return (
            {name for name, part in parts.items() if part.grad is not None and part.grad.any()},
            slot,
            batch,
        )

    learned, slot, batch = gradients(0)
    assert learned == {'g_s', 'g_t', 'f'}
    assert slot.queue.grad is None
    assert not batch.companions['teacher'].key.requires_grad
    assert batch.views[0].grad is None  # the classified view has no part in it
    assert gradients(1)[0] == {'T'}


def test_an_image_of_a_class_with_one_slot_has_a_finite_loss():
    slot = class_queue(class_counts=[2, 2, 2, 1], size=K)
    loss = slot(class_batch())
    loss.backward()
    assert loss.isfinite()
    assert slot.log_temperature.grad.isfinite()


def test_relabelling_changes_nothing():
    order = torch.tensor([2, 0, 3, 1])
    # Sizes without a remainder: what is rounded goes to one class or the next by their order.
    slot = class_queue(size=K + sum(COUNTS))
    other = class_queue(size=K + sum(COUNTS), class_counts=[COUNTS[k] for k in order])
    other.embedding.load_state_dict(slot.embedding.state_dict())
    other.key_embedding.load_state_dict(slot.key_embedding.state_dict())
    own = torch.cat([(slot.slot_classes == k).nonzero()[:, 0] for k in order])
    other.queue.data = slot.queue.data[own]
    for seed in range(2):
        found = slot(class_batch(seed)), other(class_batch(seed, labels=order.argsort()[LABELS]))
        torch.testing.assert_close(*found)


@pytest.mark.parametrize('folders', [('a', 'b'), (None, 'b'), ('a', None), (None, None)])
def test_images_of_concatenated_sets_are_told_apart(folders):
    """Their numbers are the same: then the path tells, and where there is none the class."""
    slot, loop = class_queue(), gml.Queue(gml.sizes(COUNTS, 9, 1))
    classes = slot.slot_classes.tolist()
    for step, folder in enumerate(folders):
        labels = LABELS if folders != (None, None) else (LABELS + step) % K
        batch = class_batch(step, labels=labels, folder=folder)
        loss = slot(batch)
        ids = [(step, i) for i in range(N)]
        loop.write(ids, labels.tolist())
        e, keys = embedded(slot, batch)
        wanted = gml.g2(e, keys, classes, labels.tolist(), COUNTS, 0.1)
        wanted += gml.g3(e, keys, classes, labels.tolist(), COUNTS, 0.1, ids, loop.slots())
        assert loss.item() == pytest.approx(wanted, rel=1e-6)
    assert {item[0] for item in loop.slots() if item} == {0, 1}  # both are remembered


def test_a_queue_of_other_class_counts_is_not_taken(caplog):
    slot = class_queue()
    slot(class_batch())
    saved = copy.deepcopy(slot.state_dict())
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    other = class_queue(seed=1, class_counts=COUNTS[::-1])
    fresh = copy.deepcopy(other.state_dict())
    for _ in range(2):  # a run looks first, then loads
        other.load_state_dict(saved)
    logger.removeHandler(caplog.handler)
    told = [r.getMessage() for r in caplog.records if r.levelname == 'WARNING']
    assert len(told) == 1
    assert 'queue: the classes have other slots than in the checkpoint' in told[0]
    memory = {'sizes', 'queue', 'image_ids', 'path_ids', 'pointer'}
    for name, value in other.state_dict().items():
        assert torch.equal(value, (fresh if name in memory else saved)[name]), name
    # Where the slots are the same, other counts are no matter.
    same = class_queue(seed=1, class_counts=[2 * n for n in COUNTS])
    same.load_state_dict(saved)
    assert torch.equal(same.queue, slot.queue)


@pytest.mark.parametrize('folder', [None, 'a'])
def test_a_checkpoint_without_paths_and_sizes_goes_on(folder):
    slot, other = class_queue(), class_queue(seed=1)
    slot(class_batch(folder=folder))
    saved = copy.deepcopy(slot.state_dict())
    del saved['sizes'], saved['path_ids']
    other(class_batch(5, folder='b'))  # what it knew is gone
    other.load_state_dict(saved)
    # The same images in another order: each knows its slots of before, whose paths are not known.
    ids = [3, 4, 0, 1, 2]
    batch = class_batch(1, ids, LABELS[ids], folder)
    assert torch.equal(slot(batch), other(batch))


# --- Both ---------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', BATCHES)
def test_save_load_and_the_next_step_is_the_same(name):
    build, make = BATCHES[name]
    slot, other = build(), build(seed=1)
    slot(make(1))
    other.load_state_dict(copy.deepcopy(slot.state_dict()))
    assert torch.equal(slot(make(2)), other(make(2)))
    for key, value in slot.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


@pytest.mark.parametrize('mode', ['eval', 'no_grad'])
@pytest.mark.parametrize('name', BATCHES)
def test_a_loss_that_is_not_trained_on_changes_no_memory(name, mode):
    build, make = BATCHES[name]
    slot = build()
    slot.train(mode != 'eval')
    before = copy.deepcopy(slot.state_dict())
    with torch.set_grad_enabled(mode != 'no_grad'):
        assert slot(make()).isfinite()
    for key, value in slot.state_dict().items():
        # BatchNorm's statistics are torch's business.
        assert 'running' in key or 'tracked' in key or torch.equal(value, before[key]), key


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('name', BATCHES)
def test_finite_in_half_precision(name, dtype):
    build, make = BATCHES[name]
    slot, batch = build().float(), make()
    for values in (batch.views[-1].data, *(x.key for x in batch.companions.values())):
        values.mul_(50)

    def half(x):
        return x.detach().to(dtype).requires_grad_()

    views = [half(view) for view in batch.views]
    companions = {
        key: CompanionOutput({0: (half(x.key).detach(),)}, momentum=x.momentum)
        for key, x in batch.companions.items()
    }
    with torch.autocast('cpu', torch.bfloat16):
        loss = slot(Batch(views, batch.targets, None, companions, batch.samples))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert views[-1].grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in slot.parameters() if p.requires_grad)


def test_gradients_are_those_of_the_values():
    # In training the memory moves with every call.
    slot, batch = momentum_queue().eval(), momentum_batch()
    assert torch.autograd.gradcheck(
        lambda x: slot(Batch([x], batch.targets, None, batch.companions)), batch.views[0]
    )
    slot, x = class_queue().eval(), rows(3).requires_grad_()
    # The first term: in the second one the products are stopped.
    assert torch.autograd.gradcheck(
        lambda x: slot.criterion(slot.log_likelihood(slot.cosines(x) / 0.1), LABELS), x
    )


@pytest.mark.parametrize(
    ('build', 'options', 'match'),
    [
        (momentum_queue, dict(size=0), 'size must be a positive integer, got 0'),
        (momentum_queue, dict(temperature=0.0), 'temperature must be positive'),
        (momentum_queue, dict(criterion=dict(type='torch.nn.MSELoss')), 'PairCriterion.*MSELoss'),
        (class_queue, dict(size=3), 'size must be at least 4, 1 slots for each of 4 classes'),
        (class_queue, dict(base=0), 'base must be a positive integer'),
        (class_queue, dict(temperature=-1.0), 'temperature must be positive'),
        (class_queue, dict(class_counts=None), 'class_counts are needed by ClassQueue'),
        (class_queue, dict(num_classes=3), 'class_counts has 4 classes, num_classes=3'),
        (class_queue, dict(criterion=dict(type='torch.nn.MSELoss')), 'PairCriterion.*MSELoss'),
    ],
)
def test_bad_arguments_are_refused(build, options, match):
    with pytest.raises(ValueError, match=match):
        build(**options)


def test_batches_that_do_not_fit_are_refused():
    teacher = CompanionOutput({2: (rows(1, width=D),)})
    batch = class_batch()
    bare = Batch(batch.views, batch.targets, None, {})
    for slot in (momentum_queue(), class_queue()):
        with pytest.raises(ValueError, match='needs the companion .* but the model has none: take'):
            slot(bare)
    with pytest.raises(ValueError, match='width 6, the queue has 5: set neck.teacher_channels=6'):
        class_queue()(class_batch(teacher=teacher))
    with pytest.raises(ValueError, match="the data samples need 'sample_idx'"):
        class_queue()(Batch(batch.views, batch.targets, None, batch.companions))
    with pytest.raises(ValueError, match='must be a MomentumEncoder'):
        momentum_queue()(momentum_batch(momentum=teacher))
    wide = CompanionOutput({1: (rows(1, width=D + 1),)}, momentum=0.9)
    with pytest.raises(ValueError, match='features of the momentum encoder must have shape'):
        momentum_queue()(momentum_batch(momentum=wide))
    soft = torch.rand(N, K).softmax(1)
    with pytest.raises(ValueError, match='contrast needs one label an image'):
        class_queue()(class_batch(labels=soft))


def test_the_key_is_of_the_view_that_the_companion_names_last():
    zeros, ones = torch.zeros(1, 2), torch.ones(1, 2)
    for views in ((0, 2), (2, 0)):
        output = CompanionOutput(dict(zip(views, ((zeros,), (ones,)))))
        assert output.key_view == views[1]
        assert torch.equal(output.key, ones)
        assert torch.equal(output.of_expert(0, 1).key, ones)
