from mmlt.models.classifiers.companion import Companion
from mmlt.models.classifiers.companion_classifier import CompanionClassifier
from mmlt.models.classifiers.frozen_teacher import FrozenTeacher
from mmlt.models.classifiers.momentum_encoder import MomentumEncoder
from mmlt.models.classifiers.tuned_classifier import TunedClassifier

__all__ = [
    'Companion',
    'CompanionClassifier',
    'FrozenTeacher',
    'MomentumEncoder',
    'TunedClassifier',
]
