"""What mmengine's hub and OpenMMLab's ``mim`` look for in every package of the family."""


def register_all_modules(init_default_scope: bool = True) -> None:
    """Register everything of mmlt; importing the package has done so.

    Args:
        init_default_scope (bool): Also make mmpretrain's the default scope. Default: True.
    """
    if init_default_scope:
        from mmengine.registry import init_default_scope as init

        init('mmpretrain')
