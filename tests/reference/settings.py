"""The settings of the papers, written by hand from their text and their released code.

A row is (patterns of configs, settings, source). The rows that match a config are laid over each
other, later ones on top; what comes out is what the config must be. 'ours' is in no paper. Rates
are those of epochs counted from 1.
"""

# What every config of these folders must name; mixins keep mmpretrain's recipes.
NEEDED = (
    'classes', 'counts', 'network', 'epochs', 'batch', 'optimizer', 'momentum', 'decay', 'rates',
    'mean', 'std', 'train images', 'val images', 'test images', 'train views', 'test view', 'joint',
    'classifier',
)  # fmt: skip

CROP, FLIP = 'RandomCrop(crop_size=32, padding=4)', 'RandomFlip(direction=horizontal, prob=0.5)'
AUTO = [CROP, FLIP, 'CifarAutoAugment(is_bgr=False)', 'CifarCutout(length=16)']
JITTER = 'ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4)'
JITTER_HUE = 'ColorJitter(brightness=0.4, contrast=0.4, hue=0.1, saturation=0.4)'


def sim_augment(crop: str, bgr: bool, blur: bool = False) -> list[str]:
    """SimAugment; the views leave in the order of the channels in which they came."""
    return [
        crop, FLIP, f'NumpyToPIL(to_rgb={bgr})', f'0.8: {JITTER_HUE}', 'RandomGrayscale(p=0.2)',
        *['0.5: GaussianBlur(kernel_size=13, sigma=(0.1, 2.0))'] * blur,
        f'PILToNumpy(to_bgr={bgr})',
    ]  # fmt: skip


CIFAR_CROP = 'RandomResizedCrop(crop_ratio_range=(0.2, 1.0), scale=32)'
PHOTO_CROP = 'RandomResizedCrop(scale=224)'
PLAIN = [PHOTO_CROP, FLIP, JITTER]
RAND = [*PLAIN, 'RandAugment(n=2, m=10, std=0.5, 15 operations, pad=[104, 116, 124])']
SIM, SIM_BLUR = sim_augment(CIFAR_CROP, False), sim_augment(CIFAR_CROP, False, blur=True)
PHOTO_SIM = sim_augment(PHOTO_CROP, True)
PHOTO_TEST = ['ResizeEdge(edge=short, scale=256)', 'CenterCrop(crop_size=224)']
IMAGENET_MEAN = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), to_rgb=True)
MIXED = ('plain', 'mixup', 'cutmix')
RESNET32 = 'CifarResNet(depth=32)'
RESNET56 = 'CifarResNet(depth=56)'
RESNET34 = 'ResNet_CIFAR(depth=34), last BatchNorm 1'
RESNET50 = 'ResNet(depth=50), last BatchNorm 1'
RESNEXT50 = 'ResNeXt(depth=50, groups=32, width_per_group=4), last BatchNorm 1'
RESNEXT101 = 'ResNeXt(depth=101, groups=32, width_per_group=8), last BatchNorm 1'
RESNET152 = 'ResNet(depth=152), last BatchNorm 1, torchvision://resnet152'
SGD = dict(optimizer='SGD', momentum=0.9)


def lists(name: str) -> dict:
    """The official lists of ImageNet-LT and Places-LT."""
    return {f'{part} images': f'{name}_{part}.txt' for part in ('train', 'val', 'test')}


SETTINGS = [
    # Data.
    (['*cifar10-*'], dict(classes=10, counts='cifar10-lt-if100'), 'LDAM'),
    (['*cifar100-*'], dict(classes=100, counts='cifar100-lt-if100'), 'LDAM'),
    (['*imagenet-lt*'], dict(classes=1000, counts='imagenet-lt'), 'official list'),
    (['*inat2018*'], dict(classes=8142, counts='inaturalist2018'), 'official list'),
    (['*places-lt*'], dict(classes=365, counts='places-lt'), 'official list'),
    (['*digits*'], dict(classes=10, counts='digits-lt-if50'), 'ours'),
    (
        ['*cifar*'],
        {
            'train images': 'train, ldam 0', 'val images': 'test', 'test images': 'test',
            'mean': (0.4914, 0.4822, 0.4465), 'std': (0.2023, 0.1994, 0.2010), 'to_rgb': False,
            'train views': [AUTO], 'test view': [],
        },
        'released code of BCE3S, BCL and DBM: mean, std, crop, flip, AutoAugment, Cutout(16)',
    ),
    (['*released*'], {'train images': 'train, first_n 0'}, 'BCE3S, released code'),
    (['*imagenet-lt*'], lists('ImageNet_LT'), 'Liu et al. 2019'),
    (['*places-lt*'], lists('Places_LT'), 'Liu et al. 2019'),
    (
        ['*inat2018*'],
        {
            'train images': 'train2018.json', 'val images': 'val2018.json',
            'test images': 'val2018.json',
        },
        'iNaturalist 2018',
    ),
    (
        ['*imagenet-lt*', '*places-lt*', '*inat2018*'],
        {'train views': [PLAIN], 'test view': PHOTO_TEST} | IMAGENET_MEAN,
        'Kang et al. 2020; the papers name none for BCE3S',
    ),
    (
        ['*inat2018*'],
        dict(mean=(0.466, 0.471, 0.380), std=(0.195, 0.194, 0.192)),
        'released code of BCL and DBM',
    ),
    (
        ['*digits*'],
        {
            'train images': 'train, ldam 0', 'val images': 'test', 'test images': 'test',
            'mean': (0.5,) * 3, 'std': (0.5,) * 3, 'test view': [],
            'train views': [['RandomCrop(crop_size=8, padding=1)']],
        },
        'ours',
    ),
    # Networks.
    (['*resnet20*'], dict(network='CifarResNet(depth=20)', width=64), 'ours'),
    (
        ['bce3s/resnet14*'],
        {
            'network': 'ResNet_CIFAR(depth=18), last BatchNorm 1', 'width': 48,
            'test view': ['Resize(scale=8)'],
        },
        'ours',
    ),
    (['*resnet32_*'], dict(network=RESNET32, width=64), 'BCL 4.2; DBM; He et al. 2016'),
    (['gml/teacher_resnet56*'], dict(network=RESNET56, width=64), 'GML, released code'),
    (['*resnet32x4*'], dict(network='CifarResNet(depth=32, width=4)', width=256), 'DBM suppl.'),
    (['*resnet34*'], dict(network=RESNET34, width=512), 'BCE3S, released code'),
    (['*resnet50*'], dict(network=RESNET50, width=2048), 'BCE3S E; BCL 4.2; DBM'),
    (['*resnext50*'], dict(network=RESNEXT50, width=2048), 'BCE3S E; BCL 4.2; DBM'),
    (['*resnet152*'], dict(network=RESNET152, width=2048), 'ours'),
    (
        ['gml/teacher_resnet152*'],
        dict(network='ResNet(depth=152), last BatchNorm 1'),
        'DBM: the teacher of ResNet-50',
    ),
    (
        ['gml/teacher_resnext101*'],
        dict(network=RESNEXT101, width=2048),
        'GML, released code: the teacher of ResNeXt-50',
    ),
    (
        ['*vit-base*'],
        {
            'network': 'VisionTransformer(arch=b), QuickGELU, checkpoint', 'width': 768,
            'mean': (0.48145, 0.45783, 0.40821), 'std': (0.26863, 0.26130, 0.27578),
        },
        'CLIP',
    ),
    # BCE3S and CE3S.
    (
        ['bce3s/*', 'ce3s/*'],
        dict(
            head='BCE3SHead', classifier='NormedLinear', joint='SigmoidPairLoss', ratio=0.4,
            contrast='SigmoidPairLoss x 0.1', uniform='SigmoidUniformLoss x 1.0', temperature=1.0,
            reduction='sum', views=MIXED,
        ),
        'BCE3S eqs. 3 to 6 and released code',
    ),
    (
        ['ce3s/*'],
        dict(
            joint='SoftmaxPairLoss', ratio=None, contrast='SoftmaxPairLoss x 0.1',
            uniform='SoftmaxUniformLoss x 1.0',
        ),
        'BCE3S eqs. 22 to 25',
    ),
    (
        ['*/*resnet3[24]_cifar*'],
        SGD | dict(epochs=320, batch=64, decay=5e-3, rates={1: 0.01, 161: 0.005, 320: 2.41e-7}),
        'BCE3S E and released code; Alshammari et al. 2022',
    ),
    (
        ['bce3s/*imagenet-lt*', 'ce3s/*imagenet-lt*'],
        SGD | dict(epochs=200, batch=128, decay=5e-4, rates={1: 0.05, 101: 0.025, 200: 3.084e-6}),
        'BCE3S E',
    ),
    (
        ['bce3s/*inat2018*'],
        SGD | dict(epochs=180, batch=256, decay=1e-4, rates={1: 0.1, 91: 0.05, 180: 7.615e-6}),
        'BCE3S E',
    ),
    (['bce3s/*400e*'], dict(epochs=400, rates={1: 0.1, 201: 0.05, 400: 1.542e-6}), 'BCE3S E'),
    (
        ['*places-lt*'],
        SGD | dict(epochs=30, batch=128, decay=5e-4, rates={1: 0.01, 16: 0.005, 30: 2.739e-5}),
        'ours',
    ),
    (
        ['*digits*'],
        SGD | dict(epochs=125, batch=32, decay=5e-3, rates={1: 0.05, 101: 0.05, 114: 0.02341}),
        'ours: the best for CE of eight settings on validation images',
    ),
    (['*/bs*digits*'], dict(rates={1: 0.05, 64: 0.02469}), 'ours: the same eight'),
    (['dbm/*digits*'], dict(rates={1: 0.1, 101: 0.1, 114: 0.04682}), 'ours: the same eight'),
    (
        ['bce3s/resnet20*', 'bce3s/resnet14*'],
        dict(rates={1: 0.05, 76: 0.05, 101: 0.06952, 114: 0.03256}),
        'ours: the same eight',
    ),
    (['bce3s/stage1*'], dict(epochs=100, rates={1: 0.05, 76: 0.05, 89: 0.02368}), 'ours'),
    (
        ['*/stage2*digits*', '*/crt*digits*', '*/lws*digits*'],
        dict(epochs=25, rates={1: 0.05, 14: 0.02341}),
        'ours',
    ),
    (['*/resnet34*released*', '*weighted-partner*'], dict(partner='weighted'), 'BCE3S code'),
    (['*/resnet34*released*'], dict(power=0.0), 'BCE3S code: the published run is uniform'),
    (['*released*'], dict(negatives='batch', correct_lam=False), 'BCE3S code'),
    # BCE3S's second stages.
    (
        ['bce3s/resnet20*', 'bce3s/resnet14*'],
        dict(retraining='from 100, beta 0.9999, decay 0.0'),
        'ours',
    ),
    (['bce3s/stage2*', 'ce3s/stage2*'], dict(retraining='from 0, beta 0.9999, decay 0.0'), 'E'),
    (
        ['bce3s/stage2*-lt*', 'ce3s/stage2*', 'bce3s/stage2*inat*'],
        dict(
            epochs=10, decay=0.0, rates={1: 1e-4, 6: 5e-5, 10: 2.447e-6}, max_norm=0.1,
        ),
        'BCE3S, released code: 10 epochs, rate 1e-4 cosine, MaxNorm 0.1; beta: appendix E',
    ),
    (['bce3s/stage2*digits*'], dict(epochs=25, decay=5e-3, rates={1: 0.05}, max_norm=None), 'ours'),
    (
        ['*/stage2*released*'],
        dict(
            retraining='from 0, beta 0.99999, decay 0.0', rates={1: 9.755e-5, 10: 0.0},
            views=('plain',), drift=True,
        ),
        'BCE3S, released code',
    ),
    # BCL.
    (
        ['bcl/*', 'dbm/*bcl_*'],
        {
            'head': 'BCLHead', 'classifier': 'Linear', 'joint': 'BalancedSoftmaxLoss x 2.0',
            'contrast': 'BalancedContrastiveLoss x 0.6', 'temperature': 0.1, 'views': ('pipeline',),
            'hidden': 512, 'out': 128, 'train views': [AUTO, SIM, SIM],
        },
        'BCL 4.2 and released code',
    ),
    (
        ['bcl/*cifar*'],
        SGD | dict(
            epochs=200, batch=256, decay=5e-4,
            rates={1: 0.03, 2: 0.06, 5: 0.15, 6: 0.15, 160: 0.15, 161: 0.015, 181: 0.0015},
        ),
        'BCL 4.2',
    ),
    (
        ['bcl/*digits*'],
        {'train views': [['RandomCrop(crop_size=8, padding=1)']] * 3},
        'ours',
    ),
    (
        ['bcl/*400e*'],
        dict(
            epochs=400,
            rates={1: 0.015, 10: 0.15, 11: 0.15, 360: 0.15, 361: 0.015, 381: 0.0015},
        ),
        'BCL 4.2',
    ),
    (
        ['bcl/*imagenet-lt*', 'bcl/*inat2018*', 'dbm/dbm-bcl*imagenet-lt*', 'dbm/dbm-bcl*inat*'],
        {
            'classifier': 'CosineLinear x 30.0', 'joint': 'BalancedSoftmaxLoss x 1.0',
            'contrast': 'BalancedContrastiveLoss x 0.35', 'temperature': 0.07, 'hidden': 2048,
            'out': 1024, 'train views': [RAND, PHOTO_SIM, PHOTO_SIM],
        },
        'BCL 4.2 and released code',
    ),
    (['bcl/*sim-rand*'], {'train views': [RAND, PHOTO_SIM, RAND]}, 'BCL suppl.'),
    (['bcl/*rand-rand*'], {'train views': [RAND] * 3}, 'BCL suppl.'),
    (
        ['bcl/*imagenet-lt*', 'dbm/*imagenet-lt*', 'baselines/*imagenet-lt*'],
        SGD | dict(epochs=90, batch=256, decay=5e-4, rates={1: 0.1, 46: 0.05, 90: 3.046e-5}),
        'BCL 4.2; DBM suppl. table 1',
    ),
    (
        ['bcl/*imagenet-lt_180e*', 'dbm/*imagenet-lt_180e*', 'baselines/*imagenet-lt_180e*'],
        dict(epochs=180, rates={1: 0.1, 91: 0.05, 180: 7.615e-6}),
        'BCL table 6; DBM suppl. table 4',
    ),
    (
        ['bcl/*inat2018*', 'dbm/*inat2018*', 'baselines/*inat2018*'],
        SGD | dict(epochs=100, batch=256, decay=1e-4, rates={1: 0.2, 51: 0.1, 100: 4.934e-5}),
        'BCL 4.2; DBM suppl. table 1',
    ),
    # DBM and the baselines that it ran.
    (
        ['dbm/*resnet32*', 'baselines/*resnet32*'],
        SGD | dict(
            epochs=200, batch=64, decay=2e-4,
            rates={1: 0.02, 2: 0.04, 5: 0.1, 6: 0.1, 7: 0.0999935, 200: 6.489e-6},
        ),
        'DBM, implementation details; the shape of the warm-up: released code',
    ),
    (
        ['dbm/bcl_*', 'dbm/dbm-bcl*cifar*'],
        {
            'batch': 256, 'train views': [AUTO, SIM_BLUR, SIM_BLUR],
            'rates': {1: 0.03, 5: 0.15, 6: 0.15, 7: 0.14999, 200: 9.734e-6},
        },
        'DBM: 0.15 and 256 for BCL; the blur: released code',
    ),
    (
        ['dbm/dbm-ce*', 'dbm/dbm-bs*', 'dbm/dbm-cb*', 'dbm/dbm-drw*'],
        dict(
            head='DBMHead', classifier='CosineLinear x 32.0', joint='SoftmaxPairLoss',
            margin='0.1, tau 1, hard',
        ),
        'DBM eqs. 6 to 9, s = 32; K: 0.1 to 0.3, generally 0.1',
    ),
    (['dbm/dbm-bs*'], dict(joint='BalancedSoftmaxLoss'), 'DBM eq. 11'),
    (['dbm/dbm-cb*'], dict(joint='ClassBalancedLoss(0.9999, SoftmaxPairLoss)'), 'DBM eq. 10'),
    (
        ['dbm/dbm-bs-3s*'],
        dict(
            views=MIXED, contrast='SigmoidPairLoss x 0.1', uniform='SigmoidUniformLoss x 1.0',
            reduction='sum',
        ),
        'ours',
    ),
    (['dbm/dbm-bcl*'], dict(margin='0.1, tau 1, hard'), 'DBM'),
    (['dbm/dbm-bcl*cifar*'], dict(classifier='CosineLinear x 32.0'), 'DBM'),
    (
        ['dbm/dbm-bcl*imagenet-lt*', 'dbm/dbm-bcl*inat*'],
        dict(
            joint='BalancedSoftmaxLoss x 2.0', contrast='BalancedContrastiveLoss x 0.6',
            temperature=0.1,
        ),
        'DBM, released command',
    ),
    (
        ['dbm/dbm-bs_res*imagenet-lt*', 'dbm/dbm-bs_res*inat*'],
        {'classifier': 'CosineLinear x 30.0', 'train views': [RAND]},
        'DBM: s = 30; RandAugment',
    ),
    (['dbm/*drw*', 'baselines/*drw*cifar*'], dict(reweighting='from 160, beta 0.9999'), 'DBM'),
    (
        ['*_steps*'],
        {
            'train views': [[CROP, FLIP]],
            'rates': {1: 0.02, 5: 0.1, 160: 0.1, 161: 0.01, 181: 0.001, 200: 0.001},
        },
        'DBM suppl., against Yu et al.',
    ),
    (
        ['dbm/*vit-base*'],
        {
            'optimizer': 'SGD', 'momentum': 0.9, 'epochs': 10, 'batch': 128, 'decay': 5e-4,
            'rates': {}, 'train views': [PLAIN],
        },
        'ours',
    ),
    (['dbm/*vit*imagenet-lt*'], dict(classifier='CosineLinear x 30.0'), 'DBM'),
    (
        ['dbm/*vit*cifar*'],
        {
            'test view': ['Resize(backend=pillow, interpolation=bicubic, scale=224)'],
            'train views': [[
                'RandomResizedCrop(backend=pillow, crop_ratio_range=(0.5, 1.0), '
                'interpolation=bicubic, scale=224)', FLIP,
            ]],
        },
        'ours',
    ),  # fmt: skip
    (
        ['baselines/*', 'dbm/ce_*'],
        dict(head='TripartiteHead', classifier='Linear', joint='SoftmaxPairLoss'),
        'DBM, CE',
    ),
    (['baselines/bs*', 'baselines/la_*'], dict(joint='BalancedSoftmaxLoss'), 'Ren et al. 2020'),
    (['baselines/focal*'], dict(joint='SoftmaxFocalLoss(1.0)'), 'ours: gamma'),
    (['baselines/cb-ce*'], dict(joint='ClassBalancedLoss(0.9999, SoftmaxPairLoss)'), 'ours: beta'),
    (
        ['baselines/cb-sigmoid*'],
        dict(joint='ClassBalancedLoss(0.9999, SigmoidPairLoss)'),
        'ours: beta',
    ),
    (
        ['baselines/ldam*'],
        dict(classifier='CosineLinear x 30.0', margin='0.5, tau 0.25'),
        'LDAM, released code (DBM has s = 32, largest margin 0.1)',
    ),
    (['baselines/ldam-drw*'], {}, 'LDAM'),
    (['baselines/ldam-drw*imagenet-lt*'], dict(reweighting='from 72, beta 0.9999'), 'ours: 80 %'),
    (['baselines/ldam-drw*inat*'], dict(reweighting='from 80, beta 0.9999'), 'ours: 80 %'),
    (['baselines/ldam-drw*places*'], dict(reweighting='from 24, beta 0.9999'), 'ours: 80 %'),
    (['baselines/*-randaug*'], {'train views': [RAND]}, 'BCL table 6'),
    (['baselines/lws*'], dict(classifier='ScaledLinear', retraining='from 0, LWS'), 'Kang et al.'),
    (['baselines/crt*'], dict(retraining='from 0, cRT, decay 0.0005'), 'Kang et al.; decay: ours'),
    (
        ['baselines/crt*cifar*', 'baselines/lws*cifar*'],
        dict(epochs=10, rates={1: 0.1, 6: 0.05}),
        'Kang et al.: 10 epochs',
    ),
    (
        ['baselines/crt*imagenet-lt*', 'baselines/lws*imagenet-lt*'],
        dict(epochs=10, rates={1: 0.1, 6: 0.05}),
        'Kang et al.: 10 epochs, 0.2 for 512 images',
    ),
    (['baselines/crt*inat*', 'baselines/lws*inat*'], dict(epochs=10, rates={1: 0.2}), 'ours'),
    (['baselines/crt*places*', 'baselines/lws*places*'], dict(epochs=10, rates={1: 0.01}), 'ours'),
    (['baselines/crt*', 'baselines/lws*'], dict(sampler='ClassBalancedSampler 1.0'), 'Kang et al.'),
    (
        ['baselines/wd-max-norm*'],
        dict(
            epochs=10, rates={1: 0.01, 6: 0.005}, max_norm=0.1,
            retraining='from 0, beta 0.9999, decay 0.1',
        ),
        'Alshammari et al. 2022; decay: ours',
    ),
    (
        ['mixins/*'],
        {'head': 'BCE3SHead', 'width': 768, 'test view': None, 'train views': None},
        'ours: recipe of mmpretrain',
    ),
    (['mixins/dbm*'], dict(head='DBMHead', margin='0.1, tau 1, hard'), 'ours'),
    # NCL, and other experts.
    (
        ['ncl/*resnet32*'],
        SGD | dict(
            network='3 x CifarResNet(depth=32)', width=64, epochs=400, batch=64, decay=2e-4,
            rates={1: 0.02, 5: 0.1, 6: 0.1, 203: 0.0502, 400: 1.58e-6},
        ),
        'NCL and DBM, released code: three ResNet-32, 400 epochs, batch 64; DBM: cosine',
    ),
    (
        ['ncl/ncl*', 'ncl/dbm-ncl*'],
        dict(
            head='NCLHead', classifier='Linear', joint='BalancedSoftmaxLoss',
            ties=[
                'MutualDistillation x 0.6', 'HardCategoryMining x 1.0, 3 zero, distillation 0.6',
            ],
        ),
        'NCL eqs. N1 to N7; 3 of 10 classes: DBM, released code',
    ),
    (
        ['ncl/*ncl*cifar100-*'],
        dict(ties=[
            'MutualDistillation x 0.6', 'HardCategoryMining x 1.0, 30 zero, distillation 0.6',
        ]),
        'NCL and DBM, released code: 30 of 100 classes',
    ),
    (
        ['ncl/ncl_*cifar*', 'ncl/dbm-ncl_*', 'ncl/ncl_*digits*', 'ncl/ncl_*places*'],
        {
            'companions': ['the model on (0,)', 'MomentumEncoder 0.999 on (1,)'], 'queue': 1024,
            'contrast': 'SoftmaxPairLoss x 1.0', 'temperature': 0.2, 'hidden': 64, 'out': 64,
            'drop_last': True, 'views': ('pipeline',),
        },
        'NCL eqs. N8 to N10, released code',
    ),
    (
        ['ncl/ncl_*cifar*', 'ncl/dbm-ncl_*cifar*'],
        {'train views': [AUTO, SIM_BLUR]},
        'NCL and DBM, released code',
    ),
    (
        ['ncl/*_multistep'],
        dict(rates={1: 0.02, 5: 0.1, 320: 0.1, 321: 0.01, 360: 0.01, 361: 0.001, 400: 0.001}),
        'NCL, released code: steps at 320 and 360',
    ),
    (
        ['ncl/dbm-ncl*'],
        dict(classifier='CosineLinear x 32.0', margin='0.1, tau 1, hard'),
        'DBM: s = 32, K = 0.1 (released code: s = 16)',
    ),
    (
        ['ncl/ncl_resnet50_imagenet-lt', 'ncl/ncl_resnet50_inat2018', 'ncl/ncl_*places*'],
        {
            'classifier': 'CosineBiasLinear x 16.0', 'sync_bn': 'torch', 'train views': [RAND],
            'network': f'3 x {RESNET50}', 'decay': 2e-4,
        } | SGD,
        'NCL, released code',
    ),
    (
        ['ncl/ncl_resnet50_imagenet-lt'],
        dict(
            epochs=200, batch=256, rates={1: 0.2, 101: 0.10005, 200: 1.123e-4},
            ties=[
                'MutualDistillation x 0.6', 'HardCategoryMining x 1.0, 300 zero, distillation 0.6',
            ],
        ),
        'NCL, released code',
    ),
    (
        ['ncl/ncl_resnet50_inat2018'],
        dict(
            classifier='CosineBiasLinear x 32.0', epochs=400, batch=512,
            rates={1: 0.2, 201: 0.1, 400: 3.084e-6},
            ties=[
                'MutualDistillation x 0.6', 'HardCategoryMining x 1.0, 2442 zero, distillation 0.6',
            ],
        ),
        'NCL, released code',
    ),
    (
        ['ncl/ncl_*places*'],
        {
            'network': f'3 x {RESNET152}', 'epochs': 30, 'batch': 256,
            'rates': {1: 0.0093333, 2: 0.012, 5: 0.02, 6: 0.02, 10: 0.02, 11: 0.002, 21: 2e-4},
            'queue': 65536, 'out': 1024, 'hidden': 2048, 'train views': [RAND, PHOTO_SIM],
            'ties': [
                'MutualDistillation x 0.6', 'HardCategoryMining x 1.0, 122 zero, distillation 0.6',
            ],
        },
        'NCL, released code',
    ),
    (
        ['ncl/balpoe-like*', 'ncl/ensemble-bs*'],
        dict(
            head='ExpertsHead', classifier='Linear', joint='BalancedSoftmaxLoss', epochs=200,
            network='3 x CifarResNet(depth=32), 1 stages shared',
            rates={1: 0.02, 5: 0.1, 6: 0.1, 200: 6.49e-6},
        ),
        "ours: DBM's recipe",
    ),
    (['ncl/balpoe-like*'], dict(taus=[0.0, 1.0, 2.0]), 'BalPoE: its three priors'),
    (
        ['ncl/*digits*'],
        {
            'network': '3 x CifarResNet(depth=20)', 'width': 64, 'queue': 128, 'drop_last': None,
            'train views': [['RandomCrop(crop_size=8, padding=1)']] * 2,
        },
        'ours',
    ),
    # GML.
    (
        ['gml/*'],
        dict(
            head='TripartiteHead', classifier='CosineLinear x 30.0', joint='BalancedSoftmaxLoss',
            drop_last=True,
        ),
        'GML, released code: cosines times 30',
    ),
    (
        ['gml/*cifar*'],
        SGD | dict(
            epochs=200, batch=64, decay=2e-4,
            rates={1: 0.02, 2: 0.04, 5: 0.1, 6: 0.1, 7: 0.0999935, 200: 6.489e-6},
        ),
        'DBM, implementation details',
    ),
    (
        ['gml/gml*', 'gml/dbm-gml*'],
        {
            'head': 'GMLHead', 'contrast': 'BalancedSoftmaxLoss x 1.0', 'temperature': 0.1,
            'queue': '4096, base 2', 'hidden': 64, 'out': 32, 'distillation': '1.0, T 4.0',
            'companions': ['the model on (0, 1)', f'FrozenTeacher {RESNET56} on (0, 2)'],
            'undecayed': ['log_temperature'], 'views': ('pipeline',), 'train views': [AUTO] * 3,
        },
        'GML eqs. G1 to G6 on CIFAR, released code',
    ),
    (
        ['gml/*_authors'],
        dict(
            batch=128, decay=5e-4,
            rates={1: 0.02, 5: 0.1, 161: 0.1, 162: 0.01, 181: 0.01, 182: 0.001, 200: 0.001},
        ),
        'GML, released code',
    ),
    (
        ['gml/*imagenet-lt*', 'gml/*inat2018*'],
        {'sync_bn': 'torch', 'train views': [RAND]} | SGD,
        'GML, released code; DBM: RandAugment',
    ),
    (
        ['gml/*imagenet-lt*'],
        dict(epochs=90, batch=128, decay=5e-4, rates={1: 0.05, 46: 0.025, 90: 1.523e-5}),
        'GML, released code; DBM suppl.',
    ),
    (
        ['gml/*inat2018*'],
        dict(epochs=100, batch=128, decay=2e-4, rates={1: 0.02, 51: 0.01, 100: 4.934e-6}),
        'DBM suppl.; the cosine: ours',
    ),
    (
        ['gml/gml*imagenet-lt*', 'gml/dbm-gml*imagenet-lt*', 'gml/gml*inat*', 'gml/dbm-gml*inat*'],
        {
            'temperature': 0.07, 'queue': '16384, base 3', 'hidden': 2048, 'out': 1024,
            'distillation': None, 'train views': [RAND, PHOTO_SIM, PHOTO_SIM],
            'companions': [
                'the model on (0, 1)',
                'FrozenTeacher ResNet(depth=152), last BatchNorm 1 on (0, 2)',
            ],
        },
        'GML, released code; DBM: SimAugment',
    ),
    (
        ['gml/gml_resnext50*', 'gml/dbm-gml_resnext50*'],
        dict(companions=['the model on (0, 1)', f'FrozenTeacher {RESNEXT101} on (0, 2)']),
        'GML, released code',
    ),
    (['gml/gml*inat*', 'gml/dbm-gml*inat*'], dict(queue='32768, base 3'), 'ours: size'),
    (['gml/dbm-gml*'], dict(margin='0.1, tau 1, hard'), 'DBM: K = 0.1'),
    (['gml/dbm-gml*cifar*', 'gml/dbm-gml*digits*'], dict(classifier='CosineLinear x 32.0'), 'DBM'),
    (
        ['gml/gml*digits*', 'gml/dbm-gml*digits*'],
        {
            'queue': '128, base 2',
            'companions': [
                'the model on (0, 1)', 'FrozenTeacher CifarResNet(depth=32) on (0, 2)',
            ],
            'train views': [['RandomCrop(crop_size=8, padding=1)']] * 3,
        },
        'ours',
    ),
    (['gml/*digits*'], dict(drop_last=None), 'ours'),
    (['gml/teacher*digits*'], dict(network='CifarResNet(depth=32)'), 'ours'),
    (
        ['lift/*vit-base*'],
        {
            'head': 'TripartiteHead', 'classifier': 'CosineLinear x 25.0',
            'joint': 'BalancedSoftmaxLoss', 'optimizer': 'SGD', 'momentum': 0.9, 'decay': 5e-4,
            'epochs': 10, 'batch': 128, 'rates': {1: 0.01, 6: 0.005, 10: 2.447e-4},
            'train views': [[
                'RandomResizedCrop(backend=pillow, crop_ratio_range=(0.08, 1.0), '
                'interpolation=bilinear, scale=224)', FLIP,
            ]],
            'test view': [
                'ResizeEdge(backend=pillow, edge=short, interpolation=bilinear, scale=256)',
                'CenterCrop(crop_size=224)',
            ],
        },
        'LIFT, released code',
    ),
    (
        ['lift/*vit-base*cifar100-lt*'],
        dict(tuner='AdaptFormer 4, by the rule, saved: trained',
             start='clip-vit-base-p16_cifar100.pth'),
        'LIFT, released code',
    ),
    (
        ['lift/*vit-base*imagenet-lt*'],
        dict(tuner='AdaptFormer 32, by the rule, saved: trained',
             start='clip-vit-base-p16_imagenet.pth'),
        'LIFT, released code',
    ),
    (
        ['lift/*vit-base*places-lt*'],
        dict(tuner='AdaptFormer 8, by the rule, saved: trained',
             start='clip-vit-base-p16_places.pth'),
        'LIFT, released code',
    ),
    (
        ['lift/*vit-base*inat2018*'],
        dict(tuner='AdaptFormer 256, by the rule, saved: trained',
             start='clip-vit-base-p16_inat2018.pth',
             epochs=20, rates={1: 0.01, 11: 0.005, 20: 6.156e-5}),
        'LIFT, released code',
    ),
    (
        ['lift/dbm-lift*'],
        dict(head='DBMHead', margin='0.1, tau 1, hard'),
        'ours: s and K are guesses, the paper gives none',
    ),
    (
        ['lift/*vit-tiny*'],
        {
            'network': 'VisionTransformer(tiny), GELU, checkpoint', 'width': 64,
            'head': 'TripartiteHead', 'classifier': 'CosineLinear x 25.0',
            'joint': 'BalancedSoftmaxLoss', 'optimizer': 'SGD', 'momentum': 0.9, 'decay': 5e-4,
            'epochs': 30, 'batch': 32, 'rates': {1: 0.05, 16: 0.025, 30: 1.370e-4},
            'tuner': 'AdaptFormer 4, saved: trained', 'start': 'class_means.pth',
        },
        'ours',
    ),
    (['lift/dbm-lift_vit-tiny*'], dict(head='DBMHead'), 'ours'),
    (
        ['lift/foundation*'],
        {
            'network': 'VisionTransformer(tiny), GELU', 'counts': [114] * 10,
            'classifier': 'Linear',
            'joint': 'SoftmaxPairLoss', 'optimizer': 'AdamW', 'momentum': None, 'decay': 0.05,
            'epochs': 60, 'batch': 64, 'rates': {}, 'tuner': None, 'start': None,
            'train views': [[
                'RandomFlip(direction=vertical, prob=1.0)', 'RandomCrop(crop_size=8, padding=1)',
            ]],
            'test view': ['RandomFlip(direction=vertical, prob=1.0)'],
        },
        'ours',
    ),
]  # fmt: skip
