from mmlt.models.losses.balanced_contrastive_loss import BalancedContrastiveLoss
from mmlt.models.losses.balanced_softmax_loss import BalancedSoftmaxLoss
from mmlt.models.losses.class_balanced_loss import ClassBalancedLoss
from mmlt.models.losses.pair_criterion import PairCriterion
from mmlt.models.losses.sigmoid_pair_loss import SigmoidPairLoss
from mmlt.models.losses.sigmoid_uniform_loss import SigmoidUniformLoss
from mmlt.models.losses.softmax_focal_loss import SoftmaxFocalLoss
from mmlt.models.losses.softmax_pair_loss import SoftmaxPairLoss
from mmlt.models.losses.softmax_uniform_loss import SoftmaxUniformLoss
from mmlt.models.losses.supervised_contrastive_loss import SupervisedContrastiveLoss

__all__ = [
    'BalancedContrastiveLoss',
    'BalancedSoftmaxLoss',
    'ClassBalancedLoss',
    'PairCriterion',
    'SigmoidPairLoss',
    'SigmoidUniformLoss',
    'SoftmaxFocalLoss',
    'SoftmaxPairLoss',
    'SoftmaxUniformLoss',
    'SupervisedContrastiveLoss',
]
