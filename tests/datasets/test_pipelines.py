"""The pipelines of the dataset bases on images, drawn and real: size, colour, order and seeds."""

import itertools
import tarfile
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose, LoadImageFromFile
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.registry import MODELS, TRANSFORMS

from mmlt.models.targets import view_targets

CONFIGS = Path(__file__).parents[2] / 'configs'
CIFAR = list(itertools.product(['cifar10-lt', 'cifar100-lt'], ['pickle', 'folder']))
PHOTOS = [(name, 'photo') for name in ('imagenet-lt', 'inat2018', 'places-lt')]
ARCHIVES = {
    'cifar10-lt': 'cifar10-jpeg.tar.xz',
    'cifar100-lt': 'cifar100-jpeg.tar.xz',
    'imagenet-lt': 'imagenet-sample.tar',
}
RED, BATCH, PACK = (255, 0, 0), 4, dict(type='PackInputs')


@pytest.fixture(autouse=True)
def mmpretrain_scope(own_default_scope):
    """The default scope of every config: MultiView and RandomApply look their parts up in it."""
    DefaultScope.get_instance('pipelines', scope_name='mmpretrain')


class Case:
    """A dataset base, the size of its images, and photos on the disk."""

    def __init__(self, name, layout, folder):
        self.cfg = Config.fromfile(CONFIGS / f'_base_/datasets/{name}.py')
        self.is_bgr = layout != 'pickle'
        self.size = 224 if layout == 'photo' else 32
        self.paths = sorted(folder.glob('*.*'))
        self.policy = self.cfg.get('rand_augment_pipeline', self.cfg.train_pipeline)

    def item(self, number=0):
        """What the dataset hands to its pipeline."""
        path = str(self.paths[number])
        if self.is_bgr:
            return dict(img_path=path, gt_label=number)
        return dict(img=mmcv.imread(path, channel_order='rgb'), gt_label=number)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """A function that gives the folder with the photos of a source."""
    folders = {}

    def extract(source, size):
        if (source, size) in folders:
            return folders[source, size]
        folder = folders[source, size] = tmp_path_factory.mktemp('photos')
        if isinstance(source, Path):
            with tarfile.open(source) as archive:
                images = (m for m in archive if m.name.lower().endswith(('.jpg', '.jpeg')))
                for number, member in enumerate(itertools.islice(images, BATCH)):
                    (folder / f'{number}.jpg').write_bytes(archive.extractfile(member).read())
            return folder
        for number in range(BATCH):
            y, x = np.mgrid[: size[0], : size[1]] / max(size)
            image = np.stack([y, x, (x + y) / 2 + number / 20], axis=-1) * 200
            cv2.imwrite(str(folder / f'{number}.png'), image.astype(np.uint8))
        return folder

    return extract


@pytest.fixture(params=['drawn', 'real'])
def case(request, benchmark_and_layout, photos, monkeypatch):
    name, layout = benchmark_and_layout
    monkeypatch.setenv('MMLT_CIFAR', 'pickle' if layout == 'photo' else layout)
    size = (230, 300) if layout == 'photo' else (32, 32)
    source = request.param
    if source == 'real':
        archive = ARCHIVES.get(name, ARCHIVES['imagenet-lt'])
        source = request.getfixturevalue('real_data') / archive
    return Case(name, layout, photos(source, size))


def cases(*benchmarks):
    names = ['-'.join(benchmark) for benchmark in benchmarks]
    return pytest.mark.parametrize('benchmark_and_layout', benchmarks, ids=names)


def build(transforms):
    return Compose([TRANSFORMS.build(transform) for transform in transforms])


def seed(number):
    np.random.seed(number)
    torch.manual_seed(number)


def run(pipeline, item, number=0):
    seed(number)
    return pipeline(item)


def view_transforms(case, view):
    multi_view = next(t for t in case.cfg.contrastive_pipeline if t.type == 'MultiView')
    return multi_view.transforms[view]


@cases(*CIFAR, *PHOTOS)
def test_pipelines_of_one_view_give_uint8_images_that_follow_the_seed(case):
    pipelines = {name: value for name, value in case.cfg.items() if name.endswith('_pipeline')}
    names = {name for name, steps in pipelines.items() if 'MultiView' not in str(steps)}
    # CIFAR has AutoAugment in train_pipeline.
    other = 'rand_augment_pipeline' if case.size == 224 else 'plain_pipeline'
    assert names == {'train_pipeline', 'test_pipeline', other}
    for name in names:
        pipeline = build(case.cfg[name])
        packed, again, other = (run(pipeline, case.item(1), k) for k in (1, 1, 2))
        assert packed['inputs'].shape == (3, case.size, case.size)
        assert packed['inputs'].dtype == torch.uint8
        assert packed['data_samples'].gt_label.tolist() == [1]
        assert torch.equal(packed['inputs'], again['inputs'])
        assert torch.equal(packed['inputs'], other['inputs']) == (name == 'test_pipeline')


@cases(*CIFAR, *PHOTOS)
def test_other_views_are_three_that_differ(case):
    names = {name for name in case.cfg if name.endswith('_pipeline')}
    more = {'sim_rand_pipeline', 'rand_rand_pipeline'}
    more = more if case.size == 224 else {'contrastive_blur_pipeline'}
    assert more <= names
    for name in more:
        seed(0)
        views = build(case.cfg[name])(case.item(2))['inputs']
        assert [view.shape for view in views] == [(3, case.size, case.size)] * 3
        assert not any(torch.equal(*pair) for pair in itertools.combinations(views, 2))


@cases(('cifar10-lt', 'pickle'))
@pytest.mark.parametrize('case', ['drawn'], indirect=True)
def test_the_blur_is_between_those_of_its_two_sigmas_and_in_every_other_view(case):
    blur = case.cfg.sim_augment_blur[-2]
    assert blur.prob == 0.5
    image = np.zeros((32, 32, 3), np.uint8)
    image[16, 16] = 255
    to_pil, from_pil = case.cfg.sim_augment[2], case.cfg.sim_augment[-1]
    once = build([to_pil, dict(blur, prob=1.0), from_pil])
    seed(0)
    peaks = [once(dict(img=image.copy()))['img'].max() for _ in range(50)]
    # A point under a Gaussian: 255 / (2 pi sigma^2) in the middle, 10 for sigma 2.
    assert 9 <= min(peaks) <= 12
    assert max(peaks) > 150
    often = build([to_pil, blur, from_pil])
    changed = sum((often(dict(img=image.copy()))['img'] != image).any() for _ in range(200))
    assert 70 <= changed <= 126  # sigma near 0.1 blurs nothing either


@cases(*CIFAR, *PHOTOS)
def test_contrastive_pipeline_gives_three_views_of_one_decoded_image(case, monkeypatch):
    decoded = []
    transform = LoadImageFromFile.transform
    monkeypatch.setattr(
        LoadImageFromFile, 'transform', lambda *args: decoded.append(1) or transform(*args)
    )
    views = build(case.cfg.contrastive_pipeline)(case.item(2))['inputs']
    assert len(decoded) == case.is_bgr  # the pickles are decoded already
    assert [(view.shape, view.dtype) for view in views] == [
        ((3, case.size, case.size), torch.uint8)
    ] * 3
    assert not any(torch.equal(*pair) for pair in itertools.combinations(views, 2))


@cases(*CIFAR, *PHOTOS)
def test_view_0_has_the_policy_and_the_others_sim_augment(case):
    sim_augment = build([*case.policy[: int(case.is_bgr)], *view_transforms(case, 1), PACK])
    views = run(build(case.cfg.contrastive_pipeline), case.item(), 7)['inputs']
    wanted = [run(build(case.policy), case.item(), 7)['inputs']]
    # The views are drawn one after the other.
    wanted += [sim_augment(case.item())['inputs'] for _ in range(2)]
    assert all(torch.equal(*pair) for pair in zip(views, wanted))
    kinds = [{t.type for t in view_transforms(case, view)} for view in (0, 1)]
    assert kinds[0] >= ({'CifarAutoAugment', 'CifarCutout'} if case.size == 32 else {'RandAugment'})
    assert 'torchvision/RandomGrayscale' in kinds[1] - kinds[0]


@cases(*CIFAR, *PHOTOS)
def test_views_follow_the_seed(case):
    pipeline = build(case.cfg.contrastive_pipeline)
    views, again, others = (run(pipeline, case.item(), k)['inputs'] for k in (3, 3, 4))
    assert all(torch.equal(*pair) for pair in zip(views, again))
    assert not any(torch.equal(*pair) for pair in zip(views, others))


def colour(case, rgb, jitter, grey):
    """The RGB colour of a uniform image after SimAugment with these two probabilities."""
    transforms = [dict(t) for t in view_transforms(case, 1)]
    for transform in transforms:
        if transform['type'] == 'RandomApply':
            transform['prob'] = jitter
        elif transform['type'] == 'torchvision/RandomGrayscale':
            transform['p'] = grey
    step = -1 if case.is_bgr else 1
    image = np.full((40, 50, 3), rgb[::step], np.uint8)
    out = build(transforms)(dict(img=image))['img']
    assert out.shape == (case.size, case.size, 3)
    assert (out == out[0, 0]).all()
    return tuple(out[0, 0].tolist()[::step])


@cases(*CIFAR, PHOTOS[0])
@pytest.mark.parametrize('case', ['drawn'], indirect=True)
def test_colours_are_those_of_an_rgb_image_in_both_channel_orders(case):
    assert colour(case, RED, jitter=0, grey=0) == RED
    # Luma, ITU-R 601: 0.299 of red, and 0.114 if the channels were swapped.
    assert colour(case, RED, jitter=0, grey=1) == (76, 76, 76)
    seed(0)
    jittered = [colour(case, RED, jitter=1, grey=0) for _ in range(20)]
    assert len(set(jittered)) > 10
    assert all(red == max(red, green, blue) for red, green, blue in jittered)


@cases(('cifar10-lt', 'pickle'), ('cifar10-lt', 'folder'), PHOTOS[0])
@pytest.mark.parametrize('case', ['drawn'], indirect=True)
def test_sim_augment_jitters_four_of_five_and_greys_one_of_five(case):
    sim_augment, draws = build(view_transforms(case, 1)), 500
    seed(0)
    colours = []
    for _ in range(draws):
        image = np.full((32, 32, 3), (200, 120, 40), np.uint8)
        colours.append(tuple(sim_augment(dict(img=image))['img'][0, 0].tolist()))
    kept = colours.count((200, 120, 40))
    grey = sum(len(set(c)) == 1 for c in colours)
    for count, probability in ((kept, 0.2 * 0.8), (grey, 0.2)):
        deviation = (draws * probability * (1 - probability)) ** 0.5
        assert abs(count - draws * probability) < 4 * deviation


@pytest.mark.parametrize('kind', ['Rotate', 'Shear', 'Translate'])
def test_rand_augment_pads_with_the_mean_colour(kind):
    cfg = Config.fromfile(CONFIGS / '_base_/datasets/photos_224.py')
    policies = [dict(type=kind, magnitude_range=(0, 0.4), prob=1.0)]
    if kind == 'Rotate':
        policies[0]['magnitude_range'] = (0, 30)
    augment = build([dict(cfg.rand_augment[-1], policies=policies)])
    out = run(augment, dict(img=np.full((60, 60, 3), 255, np.uint8)))['img']
    colours = {tuple(c) for c in out[[0, 0, -1, -1], [0, -1, 0, -1]].tolist()}
    mean = tuple(round(value) for value in reversed(cfg.data_preprocessor.mean))
    assert mean in colours <= {mean, (255, 255, 255)}


def test_posterize_drops_a_part_of_a_bit():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    cfg = Config.fromfile(CONFIGS / '_base_/datasets/photos_224.py')
    (policy,) = (p for p in cfg.rand_augment[-1].policies if 'Posterize' in p.type)
    options = dict(policy, prob=1.0, magnitude_std=0.0)
    for level, bits in ((10, 4), (9.99, 3), (7.5, 3), (7.4, 2)):
        out = build([dict(options, magnitude_level=level)])(dict(img=ramp.copy()))['img']
        assert len(np.unique(out)) == 2**bits
        assert (out == ramp >> 8 - bits << 8 - bits).all()
    seed(0)
    augment = build([dict(options, magnitude_level=10, magnitude_std=0.5)])
    left = [len(np.unique(augment(dict(img=ramp.copy()))['img'])) for _ in range(200)]
    # The level is clipped at 10: half of the draws are there, and keep four bits.
    assert set(left) == {8, 16}
    assert 72 <= left.count(16) <= 128


def test_cutout_hides_what_its_enumeration_says():
    cutout = build([dict(type='CifarCutout', length=16)]).transforms[0]
    hidden = np.zeros((32, 32))
    for row, column in itertools.product(range(32), repeat=2):
        draws = iter((row, column))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(np.random, 'randint', lambda size, draws=draws: next(draws))
            out = cutout(dict(img=np.ones((32, 32, 3), np.uint8)))['img']
        inside = [max(0, c - 8) for c in (row, column)], [min(32, c + 8) for c in (row, column)]
        wanted = np.ones((32, 32))
        wanted[inside[0][0] : inside[1][0], inside[0][1] : inside[1][1]] = 0
        assert (out == wanted[..., None]).all()
        hidden += out[..., 0] == 0
    assert hidden.mean() / 1024 == pytest.approx(0.1914, abs=5e-5)  # mmcv's hides 0.2231
    assert hidden.min() > 0
    assert all(edge.min() > 0 for edge in (hidden[0], hidden[-1], hidden[:, 0], hidden[:, -1]))


def test_what_cutout_hides_is_black_before_the_normalisation():
    cfg = Config.fromfile(CONFIGS / '_base_/datasets/cifar100-lt.py')
    (cutout,) = (step for step in cfg.train_pipeline if step.type == 'CifarCutout')
    image = np.full((32, 32, 3), 255, np.uint8)
    seed(0)
    packed = build([cutout, PACK])(dict(img=image, gt_label=0))
    assert (image == 255).all()  # a copy: the image in memory is drawn again next epoch
    prep = MODELS.build(dict(cfg.data_preprocessor, type='ClsDataPreprocessor'))
    images = prep(dict(inputs=[packed['inputs']]), training=True)['inputs'][0]
    lowest = [-m / s for m, s in zip(cfg.data_preprocessor.mean, cfg.data_preprocessor.std)]
    assert images.amin(dim=(1, 2)).tolist() == pytest.approx(lowest, rel=1e-5)


def test_rand_augment_leaves_something_to_see():
    cfg = Config.fromfile(CONFIGS / '_base_/datasets/photos_224.py')
    augment = build([dict(cfg.rand_augment[-1])])
    ramp = np.indices((64, 64)).sum(axis=0).astype(np.uint8)
    photo = np.stack([ramp, 127 - ramp, 2 * ramp], axis=-1)
    spread = [run(augment, dict(img=photo.copy()), seed)['img'].std() for seed in range(300)]
    assert min(spread) > 5


@pytest.mark.parametrize(
    'name', ['resnet50_imagenet-lt', 'resnext50_imagenet-lt', 'resnet50_inat2018']
)
def test_dbm_trains_with_rand_augment(name):
    cfg = Config.fromfile(CONFIGS / f'dbm/dbm-bs_{name}.py')
    assert cfg.train_dataloader.dataset.pipeline == cfg.rand_augment_pipeline
    kinds = [t.type for t in cfg.rand_augment_pipeline]
    assert kinds[-3:] == ['ColorJitter', 'RandAugment', 'PackInputs']


class Photos(torch.utils.data.Dataset):
    def __init__(self, case):
        self.case, self.pipeline = case, build(case.cfg.contrastive_pipeline)

    def __len__(self):
        return BATCH

    def __getitem__(self, number):
        return self.pipeline(self.case.item(number))


def first_batch(case, workers, collate, number=0):
    loader = dict(
        dataset=Photos(case),
        batch_size=BATCH,
        num_workers=workers,
        sampler=dict(type='DefaultSampler', shuffle=True, seed=5),
        collate_fn=dict(type=collate),
    )
    seed(number)
    return next(iter(Runner.build_dataloader(loader, seed=number)))


@cases(*CIFAR[:2], PHOTOS[0])
@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('collate', ['default_collate', 'pseudo_collate'])
def test_a_loaded_batch_becomes_stacked_views(case, workers, collate):
    settings = dict(case.cfg.data_preprocessor)
    preprocessor = MODELS.build(dict(settings, type='MultiViewDataPreprocessor', views='pipeline'))
    loaded = first_batch(case, workers, collate)
    batch = preprocessor(loaded, training=True)
    order = [sample.gt_label.item() for sample in batch['data_samples']]
    assert sorted(order) == list(range(BATCH))
    # A data sample an image; each view has its labels.
    assert [labels.tolist() for labels in view_targets(batch['data_samples'])] == [order] * 3

    rgb = torch.stack([image for view in loaded['inputs'] for image in view])
    rgb = rgb[:, [2, 1, 0]] if case.is_bgr else rgb
    mean, std = (torch.tensor(settings[key])[:, None, None] for key in ('mean', 'std'))
    torch.testing.assert_close(batch['inputs'], (rgb - mean) / std)

    again = preprocessor(first_batch(case, workers, collate), training=True)
    assert torch.equal(again['inputs'], batch['inputs'])
    other = preprocessor(first_batch(case, workers, collate, number=1), training=True)
    assert not any(torch.equal(*pair) for pair in zip(other['inputs'], batch['inputs']))
