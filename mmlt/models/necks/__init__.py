from mmlt.models.necks.memory_bank_neck import MemoryBankNeck

__all__ = ['MemoryBankNeck']
