from mmlt.models.slots.batch import Batch, CompanionOutput
from mmlt.models.slots.class_queue import ClassQueue
from mmlt.models.slots.distillation_slot import DistillationSlot
from mmlt.models.slots.expert_batch import ExpertBatch
from mmlt.models.slots.expert_ties import ExpertTie, HardCategoryMining, MutualDistillation
from mmlt.models.slots.joint_slot import JointSlot
from mmlt.models.slots.momentum_queue import MomentumQueue
from mmlt.models.slots.uniform_slot import UniformSlot

__all__ = [
    'Batch',
    'ClassQueue',
    'CompanionOutput',
    'DistillationSlot',
    'ExpertBatch',
    'ExpertTie',
    'HardCategoryMining',
    'JointSlot',
    'MomentumQueue',
    'MutualDistillation',
    'UniformSlot',
]
