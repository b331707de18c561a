from mmlt.models.heads.bce3s_head import BCE3SHead
from mmlt.models.heads.bcl_head import BCLHead
from mmlt.models.heads.dbm_head import DBMHead
from mmlt.models.heads.experts_head import ExpertsHead
from mmlt.models.heads.gml_head import GMLHead
from mmlt.models.heads.ncl_head import NCLHead
from mmlt.models.heads.tripartite_head import TripartiteHead

__all__ = [
    'BCE3SHead',
    'BCLHead',
    'DBMHead',
    'ExpertsHead',
    'GMLHead',
    'NCLHead',
    'TripartiteHead',
]
