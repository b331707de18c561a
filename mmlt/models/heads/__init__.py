from mmlt.models.heads.bce3s_head import BCE3SHead
from mmlt.models.heads.tripartite_head import TripartiteHead

__all__ = ['BCE3SHead', 'TripartiteHead']
