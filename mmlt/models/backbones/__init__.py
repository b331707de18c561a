from mmlt.models.backbones.cifar_resnet import CifarResNet
from mmlt.models.backbones.multi_expert_backbone import MultiExpertBackbone

__all__ = ['CifarResNet', 'MultiExpertBackbone']
