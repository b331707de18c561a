from mmlt.models.necks.memory_bank_neck import MemoryBankNeck
from mmlt.models.necks.prototype_neck import PrototypeNeck

__all__ = ['MemoryBankNeck', 'PrototypeNeck']
