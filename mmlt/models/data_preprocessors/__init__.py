from mmlt.models.data_preprocessors.batch_augment import BatchCifarAugment, BatchSimAugment
from mmlt.models.data_preprocessors.multi_view import MultiViewDataPreprocessor

__all__ = ['BatchCifarAugment', 'BatchSimAugment', 'MultiViewDataPreprocessor']
