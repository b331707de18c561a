from mmlt.datasets.samplers.class_balanced_sampler import ClassBalancedSampler

__all__ = ['ClassBalancedSampler']
