"""Augmentation of whole batches: its distribution against the pipeline's, and its place."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmpretrain.registry import MODELS, TRANSFORMS
from mmpretrain.structures import DataSample

import mmlt  # noqa: F401
from mmlt.models.data_preprocessors.batch_augment import AutoAugmentTable, draw_boxes

N = 6
CIFAR = dict(type='BatchCifarAugment')
SIM = dict(type='BatchSimAugment', blur=0.5)


def build(**options):
    return MODELS.build(dict(type='MultiViewDataPreprocessor', num_classes=4) | options)


def batch(collate=default_collate, size=32):
    generator = torch.Generator().manual_seed(0)
    shape = (N, 3, size, size)
    images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    return collate(
        [
            dict(inputs=x, data_samples=DataSample().set_gt_label(k % 4))
            for k, x in enumerate(images)
        ]
    )


def seeded(function, *args, seed=3, **kwargs):
    torch.manual_seed(seed)
    np.random.seed(seed)
    return function(*args, **kwargs)


def gradient_image():
    """Every pixel tells where it is from."""
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing='ij')
    return torch.stack([8 * y, 8 * x, torch.full_like(x, 200)]).to(torch.uint8)


def test_the_recipe_has_the_pipelines_distribution():
    """Mean and standard deviation of each pixel over 10,000 draws of each."""
    number, image = 10_000, gradient_image()
    images = image.expand(number // 10, -1, -1, -1)
    torch.manual_seed(0)
    augment = MODELS.build(CIFAR)
    ours = torch.cat([augment(images) for _ in range(10)]).double()
    pipeline = [
        TRANSFORMS.build(spec)
        for spec in (
            dict(type='RandomCrop', crop_size=32, padding=4),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='CifarAutoAugment', is_bgr=False),
            dict(type='CifarCutout', length=16),
        )
    ]
    np.random.seed(0)
    theirs = np.zeros((number, 32, 32, 3), np.uint8)
    for k in range(number):
        results = dict(img=image.permute(1, 2, 0).numpy().copy(), img_shape=(32, 32))
        for transform in pipeline:
            results = transform(results)
        theirs[k] = results['img']
    theirs = torch.from_numpy(theirs).permute(0, 3, 1, 2).double()
    # Six standard errors of a difference of means, and of standard deviations (kurtosis below 3.5).
    error = (ours.var(dim=0) / number + theirs.var(dim=0) / number).sqrt()
    assert ((ours.mean(dim=0) - theirs.mean(dim=0)).abs() < 6 * error).all()
    assert ((ours.std(dim=0) - theirs.std(dim=0)).abs() < 6 * error).all()


def test_each_image_has_a_policy_of_its_own():
    images = gradient_image().expand(200, -1, -1, -1)
    torch.manual_seed(1)
    made = AutoAugmentTable()(images)
    assert len({x.numpy().tobytes() for x in made}) > 40
    assert torch.equal(images[0], gradient_image())  # in place nowhere


def test_a_model_that_augments_can_be_pickled():
    recipe = build(augment=[CIFAR, SIM], views='pipeline')
    images = torch.stack([gradient_image()] * 8)
    wanted = seeded(recipe.augment[0], images)
    copy = pickle.loads(pickle.dumps(recipe))
    assert torch.equal(seeded(copy.augment[0], images), wanted)


def test_boxes_have_the_asked_area_and_ratio():
    torch.manual_seed(0)
    top, left, high, wide = draw_boxes(4000, 32, 32, (0.2, 1.0), (3 / 4, 4 / 3)).T
    assert (torch.stack([top, left]) >= 0).all()
    assert ((top + high <= 32) & (left + wide <= 32)).all()
    share = (high * wide).double() / 32**2
    assert share.min() > 0.17
    assert share.max() <= 1.0
    assert share.mean() == pytest.approx(0.56, abs=0.03)  # large ones often do not fit
    assert ((wide / high) < 1.45).all()
    assert ((wide / high) > 0.69).all()
    # Nothing of this ratio fits: the largest centred box.
    box = draw_boxes(2, 8, 80, (1.0, 1.0), (1.0, 1.0))
    assert box.tolist() == [[0, 36, 8, 8]] * 2


@pytest.mark.parametrize('collate', [default_collate, pseudo_collate])
@pytest.mark.parametrize('to_rgb', [True, False])
def test_the_preprocessor_augments_then_normalises(collate, to_rgb):
    norm = dict(mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 40.0], to_rgb=to_rgb)
    data = batch(collate)
    got = seeded(build(views='plain', augment=CIFAR, **norm), data, training=True)
    images = torch.stack([torch.as_tensor(x) for x in batch(pseudo_collate)['inputs']])
    images = images.flip(1) if to_rgb else images
    wanted = seeded(MODELS.build(CIFAR), images).float()
    mean, std = (torch.tensor(norm[name])[:, None, None] for name in ('mean', 'std'))
    torch.testing.assert_close(got['inputs'], (wanted - mean) / std)
    assert [s.gt_label.item() for s in got['data_samples']] == [k % 4 for k in range(N)]


def test_several_augmentations_are_the_views():
    ours = build(views='pipeline', augment=[CIFAR, SIM, SIM])
    made = seeded(ours, batch(), training=True)
    assert made['inputs'].shape == (3 * N, 3, 32, 32)
    first, second, third = made['inputs'].chunk(3)
    assert not torch.equal(second, third)
    assert [target.tolist() for target in made['data_samples'].targets] == [
        [k % 4 for k in range(N)]
    ] * 3
    again = seeded(ours, batch(), training=True)
    assert torch.equal(made['inputs'], again['inputs'])


def test_mixed_views_are_mixtures_of_augmented_images():
    made = seeded(build(augment=CIFAR), batch(), training=True)
    plain, mixup, _ = made['inputs'].chunk(3)
    alone = seeded(build(views='plain', augment=CIFAR), batch(), training=True)['inputs']
    assert torch.equal(plain, alone)
    np.random.seed(3)
    lam = np.random.beta(1, 1)
    rest = (mixup - lam * plain) / (1 - lam)
    nearest = torch.cdist(rest.flatten(1), plain.flatten(1)).min(dim=1).values
    assert (nearest < 0.5).all()


@pytest.mark.parametrize('collate', [default_collate, pseudo_collate])
def test_partners_are_augmented_as_the_images_are(collate):
    """What MixPartnerDataset packs, two images an item, through both of mmengine's collations."""
    images = batch()['inputs']
    items = []
    for number, image in enumerate(images):
        sample = DataSample().set_gt_label(number % 4)
        sample.set_field(torch.tensor([(number + 1) % 4]), 'partner_label')
        items.append(dict(inputs=[image, images[-1 - number]], data_samples=sample))
    ours = build(augment=CIFAR, partner='weighted')
    made = seeded(ours, collate(items), training=True)
    plain, mixup, _ = made['inputs'].chunk(3)
    torch.manual_seed(3)
    augment = MODELS.build(CIFAR)
    wanted, partners = augment(images).float(), augment(images.flip(0)).float()
    assert torch.equal(plain, wanted)
    np.random.seed(3)
    lam = np.random.beta(1, 1)
    torch.testing.assert_close(mixup, lam * wanted + (1 - lam) * partners)


def test_the_test_sees_the_images_as_they_are():
    ours = build(views='plain', augment=CIFAR).eval()
    got = ours(batch(), training=False)['inputs']
    assert torch.equal(got, batch()['inputs'].float())
    # As PreciseBNHook asks, of a model in training mode: what the model is trained on.
    asked = seeded(ours.train(), batch(), training=False)['inputs']
    assert torch.equal(asked, seeded(ours, batch(), training=True)['inputs'])


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(augment=[CIFAR, SIM]), "2 views of each image, which needs views='pipeline'"),
        (dict(augment=dict(CIFAR, flip=2)), r'flip must be in \[0, 1\], got 2'),
        (dict(augment=dict(CIFAR, cutout=-1)), 'padding and cutout must be >= 0'),
        (dict(augment=dict(SIM, area=(0.0, 1.0))), r'area must be a range within \(0, 1\]'),
        (dict(augment=dict(SIM, ratio=(2, 1))), 'ratio must be a range of positive numbers'),
        (dict(augment=dict(SIM, jitter=(0.4,))), 'jitter must have brightness'),
        (dict(augment=dict(SIM, grey=-0.1)), r'grey must be in \[0, 1\], got -0.1'),
    ],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        build(**options)


def test_images_that_are_not_decoded_or_not_of_one_size_are_refused():
    ours, data = build(views='plain', augment=CIFAR), batch()
    with pytest.raises(ValueError, match='augment needs uint8 images .* got torch.float32'):
        ours(dict(data, inputs=data['inputs'].float()), training=True)
    images = [*batch(pseudo_collate)['inputs']]
    images[1] = images[1][:, :30]
    with pytest.raises(ValueError, match='images that augment takes must have one size'):
        ours(dict(data, inputs=images), training=True)
