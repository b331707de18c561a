from mmlt.models.layers.constant_margin import ConstantMargin
from mmlt.models.layers.cosine_bias_linear import CosineBiasLinear
from mmlt.models.layers.cosine_linear import CosineLinear
from mmlt.models.layers.dbm_margin import DBMMargin
from mmlt.models.layers.ldam_margin import LDAMMargin
from mmlt.models.layers.logit_adjustment import LogitAdjustment
from mmlt.models.layers.normed_linear import NormedLinear
from mmlt.models.layers.scaled_linear import ScaledLinear
from mmlt.models.layers.sphere_face_margin import SphereFaceMargin
from mmlt.models.layers.tau_norm_linear import TauNormLinear
from mmlt.models.layers.unit_feature_linear import UnitFeatureLinear

__all__ = [
    'ConstantMargin',
    'CosineBiasLinear',
    'CosineLinear',
    'DBMMargin',
    'LDAMMargin',
    'LogitAdjustment',
    'NormedLinear',
    'ScaledLinear',
    'SphereFaceMargin',
    'TauNormLinear',
    'UnitFeatureLinear',
]
