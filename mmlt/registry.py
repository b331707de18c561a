"""The scope ``mmlt`` in mmengine's tree of registries: other names for mmpretrain's registries.

Everything of mmlt is registered in mmpretrain's registries and found there under any scope. But
mmengine marks what a config takes from ``_base_ = 'mmlt::...'`` with the scope ``mmlt``, and a
config may say ``type='mmlt.BCE3SHead'`` or ``default_scope='mmlt'``: all of that arrives here.
mmengine imports this module when it meets the scope.
"""

from mmengine.registry import Registry
from mmpretrain import registry as upstream


class Alias(Registry):
    """A child that keeps nothing: what is looked up or registered in it is its parent's."""

    def get(self, key):
        """The class of this name, with or without ``mmlt.`` before it."""
        return self.parent.get(key.removeprefix(f'{self.scope}.'))

    def _register_module(self, *args, **kwargs):
        self.parent._register_module(*args, **kwargs)


_parents = {
    name: value
    for name, value in vars(upstream).items()
    if isinstance(value, Registry) and value.scope == 'mmpretrain'
}
globals().update(
    {name: Alias(parent.name, parent=parent, scope='mmlt') for name, parent in _parents.items()}
)
__all__ = ['Alias', *_parents]
