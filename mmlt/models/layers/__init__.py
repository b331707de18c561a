from mmlt.models.layers.normed_linear import NormedLinear

__all__ = ['NormedLinear']
