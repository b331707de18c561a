"""Queues of classes: sizes, rings, likelihoods, against loops."""

import math

import pytest
import torch
from reference import gml

from mmlt import load_class_counts
from mmlt.functional import class_log_means, class_queue_sizes, knowledge_distillation, ring_slots

COUNTS = [9, 5, 2, 1]


@pytest.mark.parametrize(
    ('name', 'size', 'base', 'first', 'last'),
    [
        ('cifar100-lt-if100', 4096, 2, [182, 173, 166], [4, 4, 3]),
        ('cifar10-lt-if100', 4096, 2, [1645, 987, 592], [48, 29, 18]),
    ],
)
def test_sizes_are_those_of_the_release(name, size, base, first, last):
    sizes = class_queue_sizes(load_class_counts(name), size, base).tolist()
    assert sum(sizes) == size
    assert sizes[:3] == first
    assert sizes[-3:] == last


def test_imagenet_lt_has_3_to_151_slots_a_class():
    sizes = class_queue_sizes(load_class_counts('imagenet-lt'), 16384, 3)
    assert (int(sizes.min()), int(sizes.max()), int(sizes.sum())) == (3, 151, 16384)


@pytest.mark.parametrize('size', [8, 9, 23, 100])
def test_sizes_are_those_of_the_loop(size):
    assert class_queue_sizes(COUNTS, size, 2).tolist() == gml.sizes(COUNTS, size, 2)


def test_fewer_slots_than_classes_are_refused():
    counts = load_class_counts('inaturalist2018')
    with pytest.raises(ValueError, match='at least 24426, 3 slots for each of 8142 .* got 16384'):
        class_queue_sizes(counts, 16384, 3)
    for wrong in (dict(size=0, base=1), dict(size=8, base=0), dict(size=8.0, base=1)):
        with pytest.raises(ValueError, match='must be a positive integer'):
            class_queue_sizes(COUNTS, **wrong)


def write(queue, pointer, sizes, items, labels):
    slots, found, pointer = ring_slots(torch.tensor(labels, dtype=torch.long), pointer, sizes)
    rows = torch.where(found >= 0, torch.tensor([*items, -1])[found], queue[slots])
    return queue.index_copy(0, slots, rows), pointer


def test_rings_are_those_of_the_loop():
    sizes = torch.tensor([5, 3, 2, 1])
    queue, pointer = torch.full((11,), -1), torch.zeros(4, dtype=torch.long)
    loop, generator = gml.Queue(sizes.tolist()), torch.Generator().manual_seed(0)
    for step in range(30):
        # Batches with more images of a class than it has slots, and empty ones.
        labels = torch.randint(4, (step % 9,), generator=generator).tolist()
        items = [100 * step + i for i in range(len(labels))]
        queue, pointer = write(queue, pointer, sizes, items, labels)
        loop.write(items, labels)
        assert queue.tolist() == [-1 if item is None else item for item in loop.slots()]
        assert pointer.tolist() == loop.pointer


def test_twice_its_slots_leave_the_last_ones():
    sizes, queue = torch.tensor([4, 1]), torch.full((5,), -1)
    pointer = torch.zeros(2, dtype=torch.long)
    for items in ([0, 1, 2], [3, 4], [5, 6, 7]):
        queue, pointer = write(queue, pointer, sizes, items, [0] * len(items))
    assert queue.tolist() == [4, 5, 6, 7, -1]


def test_padding_writes_nothing():
    sizes = torch.tensor([2, 1])
    queue, pointer = write(torch.tensor([7, 8, 9]), torch.tensor([1, 0]), sizes, [1, 2, 3],
                           [-1, 0, -1])  # fmt: skip
    assert queue.tolist() == [7, 2, 9]
    assert pointer.tolist() == [0, 0]
    queue, pointer = write(queue, pointer, sizes, [4, 5], [-1, -1])
    assert (queue.tolist(), pointer.tolist()) == ([7, 2, 9], [0, 0])


def example(seed=0, n=5):
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.tensor([4, 3, 2, 1])
    classes = torch.arange(4).repeat_interleave(sizes)
    similarity = 5 * torch.randn(n, 10, generator=generator, dtype=torch.float64)
    return similarity, classes, sizes


def test_class_means_are_those_of_a_plain_computation():
    similarity, classes, sizes = example()
    excluded = torch.zeros(5, 10, dtype=torch.bool)
    excluded[0, 1] = excluded[1, 9] = excluded[2, 4] = excluded[2, 6] = True
    got = class_log_means(similarity, classes, sizes, excluded)
    for i in range(5):
        for c in range(4):
            # The last class has one slot: it cannot do without it.
            own = [j for j in range(10) if classes[j] == c]
            own = [j for j in own if not excluded[i, j]] or own
            powers = [math.exp(similarity[i, j]) for j in own]
            assert got[i, c].item() == pytest.approx(math.log(sum(powers) / len(own)))


def test_slots_that_are_there_twice_change_nothing():
    similarity, classes, sizes = example()
    twice = torch.cat([similarity[:, :4], similarity], dim=1)
    got = class_log_means(
        twice, torch.cat([classes[:4], classes]), sizes + torch.tensor([4, 0, 0, 0])
    )
    torch.testing.assert_close(got, class_log_means(similarity, classes, sizes))


@pytest.mark.parametrize('scale', [1.0, 1e3])
def test_gradients_and_extremes(scale):
    similarity, classes, sizes = example()
    similarity = (scale * similarity).requires_grad_()
    excluded = torch.rand(5, 10, generator=torch.Generator().manual_seed(1)) < 0.3
    got = class_log_means(similarity, classes, sizes, excluded)
    got.sum().backward()
    assert got.isfinite().all()
    assert similarity.grad.isfinite().all()
    # Each mean hands on a gradient of 1 in all.
    assert similarity.grad.sum().item() == pytest.approx(20)
    if scale == 1:
        assert torch.autograd.gradcheck(
            lambda s: class_log_means(s, classes, sizes, excluded), similarity
        )


def test_half_precision_is_computed_in_float32():
    similarity, classes, sizes = example()
    got = class_log_means(similarity.half(), classes, sizes)
    assert got.dtype == torch.float32
    torch.testing.assert_close(
        got, class_log_means(similarity.half().float(), classes, sizes), rtol=0, atol=0
    )


def test_wrong_shapes_are_refused():
    similarity, classes, sizes = example()
    with pytest.raises(ValueError, match=r'slot_classes must have shape \(10,\)'):
        class_log_means(similarity, classes[1:], sizes)
    with pytest.raises(ValueError, match=r'excluded must have shape \(5, 10\)'):
        class_log_means(similarity, classes, sizes, torch.zeros(4, 10, dtype=torch.bool))
    with pytest.raises(TypeError, match='excluded must be bool'):
        class_log_means(similarity, classes, sizes, torch.zeros(5, 10))
    with pytest.raises(ValueError, match=r'pointer must have shape \(4,\)'):
        ring_slots(torch.tensor([0]), torch.zeros(3, dtype=torch.long), sizes)


def logits(seed, n=6, k=4):
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize('temperature', [1.0, 4.0])
def test_distillation_is_that_of_the_loop(temperature):
    student, teacher = 3 * logits(0), 3 * logits(1)
    got = knowledge_distillation(student, teacher, temperature)
    wanted = gml.g5(student.tolist(), teacher.tolist(), temperature)
    assert got.item() == pytest.approx(wanted, rel=1e-12)


def test_distillation_of_equal_logits_is_zero_and_trains_the_student_alone():
    student, teacher = logits(0).requires_grad_(), logits(1).requires_grad_()
    assert knowledge_distillation(student, student.detach() + 3.0).abs() < 1e-12
    knowledge_distillation(student, teacher).backward()
    assert student.grad.abs().max() > 0
    assert teacher.grad is None
    assert torch.autograd.gradcheck(lambda z: knowledge_distillation(z, teacher), student)


def test_distillation_at_the_extremes_and_of_wrong_input():
    far = torch.tensor([[1e4, 0.0]], requires_grad=True)
    loss = knowledge_distillation(far, -far)
    loss.backward()
    assert loss.isfinite()
    assert far.grad.isfinite().all()
    assert knowledge_distillation(torch.zeros(0, 2), torch.zeros(0, 2)) == 0
    with pytest.raises(ValueError, match=r'teacher must have shape \(1, 2\)'):
        knowledge_distillation(far, torch.zeros(1, 3))
    with pytest.raises(ValueError, match='temperature must be positive'):
        knowledge_distillation(far, far, 0.0)
