"""Views and soft labels against loops with the same seeds; the head fed by data preprocessors."""

import math

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import mmlt  # noqa: F401
from mmlt.models.targets import view_targets

COLLATES = pytest.mark.parametrize('collate', [default_collate, pseudo_collate])
K, N, V, H, W = 4, 6, 3, 8, 10
LABELS = [0, 3, 1, 3, 2, 0]
PROTOTYPES = dict(type='PrototypeNeck')
MIXUP = dict(augments=dict(type='Mixup', alpha=1.0))
NORM = dict(mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 40.0], to_rgb=True)


def make(kind='MultiViewDataPreprocessor', **options):
    return MODELS.build(dict(type=kind) | dict(num_classes=K) | options)


def make_items(labels=LABELS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (len(labels), 3, H, W), generator=generator, dtype=torch.uint8)
    return [
        dict(inputs=x, data_samples=DataSample().set_gt_label(k)) for x, k in zip(images, labels)
    ]


def run(preprocessor, labels=LABELS, seed=5, training=True, collate=pseudo_collate):
    np.random.seed(seed)
    torch.manual_seed(seed)
    return preprocessor(collate(make_items(labels)), training=training)


def draws(seed=5, alpha=1.0):
    """Lambda and partners, in the order in which the preprocessor draws them."""
    np.random.seed(seed)
    torch.manual_seed(seed)
    return np.random.beta(alpha, alpha), torch.randperm(N).tolist()


def box(lam):
    """The rows and columns that cutmix pastes: a centred cut of the side ratio sqrt(1 - lam)."""
    half_h, half_w = (int(side * math.sqrt(1 - lam)) // 2 for side in (H, W))
    y, x = np.random.randint(0, H), np.random.randint(0, W)
    return (
        [i for i in range(H) if y - half_h <= i < y + half_h],
        [j for j in range(W) if x - half_w <= j < x + half_w],
    )


def normalised(training=False):
    return run(make('ClsDataPreprocessor', **NORM), training=training)['inputs']


def soft(lam, partner):
    scores = torch.zeros(N, K)
    for i, j in enumerate(partner):
        scores[i, LABELS[i]] += lam
        scores[i, LABELS[j]] += 1 - lam
    return scores


def test_plain_view_and_evaluation_are_those_of_the_stock_preprocessor():
    images = torch.stack([item['inputs'] for item in make_items()]).flip(1).float()
    mean, std = (torch.tensor(NORM[name])[:, None, None] for name in ('mean', 'std'))
    wanted = (images - mean) / std
    torch.testing.assert_close(normalised(), wanted)
    torch.testing.assert_close(run(make(**NORM))['inputs'][:N], wanted)
    evaluated = run(make(**NORM), training=False)
    torch.testing.assert_close(evaluated['inputs'], wanted)
    assert [s.gt_label.item() for s in evaluated['data_samples']] == LABELS
    assert not any('view' in s or 'gt_score' in s for s in evaluated['data_samples'])


@pytest.mark.parametrize('alpha', [1.0, 0.3])
def test_mixup_view_is_the_loop(alpha):
    batch, images = run(make(views=('plain', 'mixup'), alpha=alpha, **NORM)), normalised()
    lam, partner = draws(alpha=alpha)
    wanted = [lam * images[i] + (1 - lam) * images[j] for i, j in enumerate(partner)]
    torch.testing.assert_close(batch['inputs'][N:], torch.stack(wanted))
    torch.testing.assert_close(batch['data_samples'].targets[1], soft(lam, partner))


@pytest.mark.parametrize('correct_lam', [True, False])
@pytest.mark.parametrize('seed', range(6))
def test_cutmix_view_is_the_loop(seed, correct_lam):
    batch = run(make(views=('plain', 'cutmix'), correct_lam=correct_lam, **NORM), seed=seed)
    images = normalised()
    lam, partner = draws(seed)
    rows, columns = box(lam)
    wanted = images.clone()
    for i, j in enumerate(partner):
        for y in rows:
            for x in columns:
                wanted[i, :, y, x] = images[j, :, y, x]
    torch.testing.assert_close(batch['inputs'][N:], wanted)
    if correct_lam:
        lam = 1 - len(rows) * len(columns) / (H * W)
    torch.testing.assert_close(batch['data_samples'].targets[1], soft(lam, partner))


def test_all_views_share_lambda_and_partners():
    batch, (lam, partner) = run(make(correct_lam=False)), draws()
    _, mixup, cutmix = batch['data_samples'].targets
    for target in (mixup, cutmix):
        torch.testing.assert_close(target, soft(lam, partner))


@COLLATES
@pytest.mark.parametrize('views', [('plain', 'mixup', 'cutmix'), ('plain', 'cutmix'), ('plain',)])
def test_views_are_contiguous_and_aligned(views, collate):
    batch = run(make(views=views), collate=collate)
    images, samples = batch['inputs'], batch['data_samples']
    assert images.shape == (len(views) * N, 3, H, W)
    assert images.is_contiguous()
    assert [s.gt_label.item() for s in samples] == LABELS
    assert not any('gt_score' in s for s in samples)
    plain, *mixed = view_targets(samples)
    assert plain.tolist() == LABELS
    assert [target.shape for target in mixed] == [(N, K)] * (len(views) - 1)
    for target in mixed:
        torch.testing.assert_close(target.sum(dim=1), torch.ones(N))


def test_one_image_has_itself_as_partner():
    batch = run(make(), labels=[2])
    torch.testing.assert_close(batch['inputs'][1:], batch['inputs'][:1].expand(2, -1, -1, -1))
    assert all(target.argmax().item() == 2 for target in batch['data_samples'].targets[1:])


def test_autocast_leaves_views_in_float32():
    wanted = run(make(**NORM))
    with torch.autocast('cpu', torch.float16):
        got = run(make(**NORM))
    torch.testing.assert_close(got['inputs'], wanted['inputs'])
    assert got['data_samples'].targets[-1].dtype == torch.float32


def test_alpha_may_be_an_integer():
    lam_float, lam_int = (run(make(alpha=alpha))['data_samples'].targets[1] for alpha in (1.0, 1))
    assert torch.equal(lam_float, lam_int)


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(views=('mixup', 'plain')), "views must be 'plain' and then others"),
        (dict(views=()), "views must be 'plain' and then others"),
        (dict(views=('plain', 'cutout')), r"got \('plain', 'cutout'\)"),
        (dict(views=('plain', 'mixup', 'mixup')), "views must be 'plain' and then others"),
        (dict(num_classes=None), r'views .*mixup.* need num_classes'),
        (dict(alpha=0.0), 'alpha must be > 0, got 0.0'),
        (dict(alpha=-1.0), 'alpha must be > 0, got -1.0'),
        (dict(batch_augments=MIXUP), 'set model.train_cfg=None'),
        (
            dict(views='pipeline', batch_augments=MIXUP),
            'batch_augments.*pipeline.*set model.train_cfg=None',
        ),
        (dict(views=('plain', 'pipeline')), r"or 'pipeline', got \('plain', 'pipeline'\)"),
        (dict(partner='epoch'), r"partner must be one of \('batch', 'weighted'\), got 'epoch'"),
        (dict(views='plain', partner='weighted'), r"nothing to mix with views=\('plain',\)"),
        (dict(views='pipeline', partner='weighted'), r"nothing to mix with views=\('pipeline',\)"),
    ],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        make(**options)


# --- Views that the pipeline made --------------------------------------------------------------


def view_items(view=None, sizes=((H, W),) * V):
    """Items with a list of views, or with one of these views, as if it were the image."""
    generator = torch.Generator().manual_seed(1)
    items = []
    for number, k in enumerate(LABELS):
        images = [
            torch.randint(256, (3, *size), generator=generator, dtype=torch.uint8) for size in sizes
        ]
        sample = DataSample(metainfo=dict(sample_idx=number)).set_gt_label(k)
        items.append(dict(inputs=images if view is None else images[view], data_samples=sample))
    return items


@COLLATES
@pytest.mark.parametrize('to_rgb', [True, False])
@pytest.mark.parametrize('options', [{}, dict(pad_size_divisor=4, pad_value=7)])
def test_each_view_of_the_pipeline_is_the_stock_preprocessors(collate, to_rgb, options):
    options = NORM | dict(to_rgb=to_rgb) | options
    stock = make('ClsDataPreprocessor', **options)
    wanted = [stock(collate(view_items(view)), training=True)['inputs'] for view in range(V)]
    ours = make(views='pipeline', num_classes=None, **options)
    got = ours(collate(view_items()), training=True)['inputs']
    assert torch.equal(got, torch.cat(wanted))
    assert got.is_contiguous()


def test_images_of_several_sizes_are_padded_in_each_view_as_in_the_stock_one():
    items = [view_items(sizes=((H, W),) * V)[0], view_items(sizes=((H + 2, W - 2),) * V)[1]]
    got = make(views='pipeline', **NORM)(pseudo_collate(items), training=True)['inputs']
    for view in range(V):
        single = [dict(item, inputs=item['inputs'][view]) for item in items]
        wanted = make('ClsDataPreprocessor', **NORM)(pseudo_collate(single), training=True)
        assert torch.equal(got[2 * view : 2 * view + 2], wanted['inputs'])


@COLLATES
@pytest.mark.parametrize('to_onehot', [True, False])
def test_views_of_the_pipeline_share_samples_and_labels(collate, to_onehot):
    data = collate(view_items())
    samples = make(views='pipeline', to_onehot=to_onehot)(data, training=True)['data_samples']
    assert [s.sample_idx for s in samples] == list(range(N))
    assert len(samples.targets) == V
    # One-hot scores are labels, written in another way.
    assert [target.tolist() for target in samples.targets] == [LABELS] * V


def test_views_without_samples_or_a_single_one_are_stacked():
    ours = make(views='pipeline')
    images = pseudo_collate(view_items())['inputs']
    unlabelled = ours(dict(inputs=images), training=True)
    assert unlabelled['inputs'].shape == (V * N, 3, H, W)
    assert unlabelled['data_samples'] is None
    one = ours(default_collate(view_items(sizes=((H, W),))), training=True)
    assert one['inputs'].shape == (N, 3, H, W)
    assert [target.tolist() for target in one['data_samples'].targets] == [LABELS]


@COLLATES
def test_the_test_takes_single_images_as_the_stock_one(collate):
    got = run(make(views='pipeline', **NORM), training=False, collate=collate)
    assert torch.equal(got['inputs'], normalised())
    assert len(got['data_samples']) == N
    assert not any('view' in s for s in got['data_samples'])


@COLLATES
@pytest.mark.parametrize(
    ('views', 'training', 'items', 'match'),
    [
        ('pipeline', True, make_items(), 'is a MultiView transform missing from the pipeline?'),
        ('pipeline', False, view_items(), 'gives 3 views of each image, the test takes one'),
        (('plain', 'mixup'), True, view_items(), r"gives 3 views.*\('plain', 'mixup'\) take one"),
        ('plain', True, view_items(), r"gives 3 views.*, with views='pipeline'"),
        ('plain', False, view_items(), 'gives 3 views of each image, the test takes one'),
        ('pipeline', True, view_items(sizes=((8, 9), (6, 9))), r'got .*\[\(8, 9\), \(6, 9\)\]'),
    ],
)
def test_pipelines_that_do_not_fit_are_named(collate, views, training, items, match):
    with pytest.raises(ValueError, match=match):
        make(views=views).train(training)(collate(items), training=training)


# --- Partners that the training set brings --------------------------------------------------------

PARTNER_LABELS = [1, 1, 3, 0, 2, 2]


def paired_items(size=(H, W)):
    """Items as MixPartnerDataset makes them: a second image, and its label in the sample."""
    others = make_items(PARTNER_LABELS, seed=9)
    items = make_items()
    for item, other in zip(items, others):
        item['inputs'] = [item['inputs'], other['inputs'][:, : size[0], : size[1]]]
        item['data_samples'].partner_label = other['data_samples'].gt_label
    return items


def run_pairs(preprocessor, collate=pseudo_collate, training=True, **options):
    np.random.seed(5)
    torch.manual_seed(5)
    return preprocessor(collate(paired_items(**options)), training=training)


def test_partners_of_the_batch_are_mixed_bit_for_bit_as_indices_into_it():
    batch, images = run(make(views=('plain', 'mixup'), **NORM)), normalised()
    lam, partner = draws()
    assert torch.equal(
        batch['inputs'], torch.cat([images, lam * images + (1 - lam) * images[partner]])
    )
    scores = torch.eye(K)[torch.tensor(LABELS)]
    got = batch['data_samples'].targets[1]
    assert torch.equal(got, lam * scores + (1 - lam) * scores[partner])


@COLLATES
@pytest.mark.parametrize('correct_lam', [True, False])
def test_brought_partners_are_mixed_with_their_labels(collate, correct_lam):
    options = NORM | dict(correct_lam=correct_lam)
    batch = run_pairs(make(partner='weighted', **options), collate)
    stock = make('ClsDataPreprocessor', **NORM)
    images, others = (
        stock(pseudo_collate(make_items(labels, seed)))['inputs']
        for labels, seed in ((LABELS, 0), (PARTNER_LABELS, 9))
    )
    np.random.seed(5)
    lam = np.random.beta(1, 1)
    rows, columns = box(lam)
    assert torch.equal(batch['inputs'][:N], images)
    assert torch.equal(batch['inputs'][N : 2 * N], lam * images + (1 - lam) * others)
    pasted = images.clone()
    for y in rows:
        for x in columns:
            pasted[:, :, y, x] = others[:, :, y, x]
    assert torch.equal(batch['inputs'][2 * N :], pasted)
    area = 1 - len(rows) * len(columns) / (H * W)
    targets = batch['data_samples'].targets
    assert targets[0].tolist() == LABELS
    for target, share in zip(targets[1:], (lam, area if correct_lam else lam)):
        for own, other, row in zip(LABELS, PARTNER_LABELS, target):
            wanted = torch.zeros(K)
            wanted[own] += share
            wanted[other] += 1 - share
            torch.testing.assert_close(row, wanted)


@COLLATES
def test_brought_partners_are_dropped_where_the_plain_view_is_left(collate):
    ours = make(partner='weighted', **NORM)
    ours.views = ('plain',)  # as ClassifierRetrainingHook does
    batch = run_pairs(ours, collate)
    assert torch.equal(batch['inputs'], normalised())
    assert [s.gt_label.item() for s in batch['data_samples']] == LABELS


@COLLATES
def test_the_test_takes_images_without_partners(collate):
    got = run(make(partner='weighted', **NORM), training=False, collate=collate)
    assert torch.equal(got['inputs'], normalised())
    assert len(got['data_samples']) == N


@COLLATES
@pytest.mark.parametrize(
    ('options', 'training', 'items', 'match'),
    [
        (dict(partner='weighted'), True, make_items(), 'not wrapped in a MixPartnerDataset'),
        (dict(partner='weighted'), True, view_items(), 'gives 3 views of each image'),
        (dict(partner='weighted'), False, paired_items(), 'wrap the training set alone'),
        (dict(), True, paired_items(), "partner='batch' have no use .* partner='weighted'"),
        (dict(views='plain'), True, paired_items(), 'unwrap the training set'),
        (dict(views='pipeline'), True, paired_items(), 'unwrap the training set'),
        (
            dict(partner='weighted'),
            True,
            paired_items(size=(6, W)),
            r'images and their partners must have one size, got .*\[\(8, 10\), \(6, 10\)\]',
        ),
    ],
)
def test_a_missing_counterpart_is_named(collate, options, training, items, match):
    with pytest.raises(ValueError, match=match):
        make(**options).train(training)(collate(items), training=training)


# --- The head behind mmpretrain's own preprocessor: its labels, one-hot or mixed -------------


def make_head(**options):
    torch.manual_seed(0)
    options = dict(joint='sigmoid', contrast='sigmoid') | options
    return MODELS.build(dict(type='TripartiteHead', num_classes=K, in_channels=3, **options))


@pytest.mark.parametrize('kind', ['ClsDataPreprocessor', 'MultiViewDataPreprocessor'])
def test_one_hot_labels_of_the_stock_preprocessor_are_labels(kind):
    losses = []
    for to_onehot in (False, True):
        batch = run(make(kind, to_onehot=to_onehot), training=True)
        features = batch['inputs'].mean(dim=(2, 3)) / 255
        head = make_head()
        head.slots['contrast'].write(torch.randn(K, 3), torch.arange(K))
        losses.append(head.loss((features,), batch['data_samples']))
    torch.testing.assert_close(losses[0], losses[1])


BALANCED = dict(type='BalancedSoftmaxLoss')
COSINE = dict(classifier=dict(type='CosineLinear'), margin=dict(type='DBMMargin', max_margin=0.3))


@pytest.mark.parametrize('augment', ['Mixup', 'CutMix'])
@pytest.mark.parametrize(
    ('slot', 'options'),
    [
        ('contrast', dict()),
        ('contrast', dict(contrast=dict(type='BalancedContrastiveLoss'), neck=PROTOTYPES)),
        ('margin', dict(joint=BALANCED, contrast=None, class_counts=[9, 5, 2, 4]) | COSINE),
    ],
)
def test_a_slot_that_needs_labels_refuses_mixtures_in_the_only_view(augment, slot, options):
    augments = dict(augments=dict(type=augment, alpha=1.0))
    batch = run(make('ClsDataPreprocessor', batch_augments=augments))
    head, features = make_head(**options), batch['inputs'].mean(dim=(2, 3))
    with pytest.raises(ValueError, match=f'{slot} needs one label an image.*model.train_cfg=None'):
        head.loss((features,), batch['data_samples'])


def test_one_hot_scores_get_the_margin():
    features, losses = torch.randn(N, 3), []
    for to_onehot in (False, True):
        samples = run(make('ClsDataPreprocessor', to_onehot=to_onehot))['data_samples']
        assert all('gt_score' in s for s in samples) == to_onehot
        floating = [s.clone() for s in samples]
        for sample in floating if to_onehot else ():
            sample.set_gt_score(sample.gt_score.float())
        for some in (samples, floating):
            head = make_head(joint=BALANCED, contrast=None, class_counts=[9, 5, 2, 4], **COSINE)
            losses.append(head.loss((features,), some)['loss_joint'])
    plain = make_head(
        joint=BALANCED, contrast=None, class_counts=[9, 5, 2, 4], classifier=COSINE['classifier']
    )
    assert len({loss.item() for loss in losses}) == 1
    assert losses[0] > plain.loss((features,), samples)['loss_joint']
