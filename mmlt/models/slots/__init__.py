from mmlt.models.slots.batch import Batch
from mmlt.models.slots.joint_slot import JointSlot
from mmlt.models.slots.uniform_slot import UniformSlot

__all__ = ['Batch', 'JointSlot', 'UniformSlot']
