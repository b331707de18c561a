from mmlt.models.data_preprocessors.multi_view import MultiViewDataPreprocessor

__all__ = ['MultiViewDataPreprocessor']
