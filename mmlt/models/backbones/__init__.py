from mmlt.models.backbones.cifar_resnet import CifarResNet

__all__ = ['CifarResNet']
