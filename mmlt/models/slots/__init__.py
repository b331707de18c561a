from mmlt.models.slots.batch import Batch
from mmlt.models.slots.expert_batch import ExpertBatch
from mmlt.models.slots.expert_ties import ExpertTie, HardCategoryMining, MutualDistillation
from mmlt.models.slots.joint_slot import JointSlot
from mmlt.models.slots.uniform_slot import UniformSlot

__all__ = [
    'Batch',
    'ExpertBatch',
    'ExpertTie',
    'HardCategoryMining',
    'JointSlot',
    'MutualDistillation',
    'UniformSlot',
]
