from mmlt.datasets.transforms.cifar_auto_augment import CifarAutoAugment

__all__ = ['CifarAutoAugment']
