"""Read and decode an image file once, and keep the pixels."""

import warnings

from mmcv.transforms import LoadImageFromFile
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImageOnce(LoadImageFromFile):
    """``LoadImageFromFile`` that keeps what it decoded, for sets that fit into memory.

    Every process that loads keeps its own images, so ``max_mib`` counts for each worker; workers
    must persist (``persistent_workers=True``), or what they keep ends with the epoch.

    Required key: ``img_path``. Added keys: ``img``, ``img_shape``, ``ori_shape``.

    Args:
        max_mib (float): MiB of pixels that a process keeps, > 0. What comes when they are full is
            read from its file each time, and a warning says so once. Defaults to 1024.
        **kwargs: of ``LoadImageFromFile``.

    Raises:
        ValueError: ``max_mib`` is not positive.

    Example:
        >>> LoadImageOnce(max_mib=64)
        LoadImageOnce(max_mib=64, color_type='color', imdecode_backend='cv2')
    """

    def __init__(self, max_mib: float = 1024, **kwargs):
        super().__init__(**kwargs)
        if not max_mib > 0:
            raise ValueError(f'max_mib must be > 0, got {max_mib}')
        self.max_mib = max_mib
        self._kept, self._bytes = {}, 0

    def transform(self, results: dict) -> dict | None:
        """Add the image, read or remembered."""
        path = results['img_path']
        if path not in self._kept:
            loaded = super().transform(results)
            if loaded is not None:
                self._keep(path, loaded['img'])
            return loaded
        # A copy: what comes next may write into it.
        image = self._kept[path].copy()
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results

    def _keep(self, path: str, image) -> None:
        if self._bytes + image.nbytes <= self.max_mib * 2**20:
            self._kept[path] = image.copy()
            self._bytes += image.nbytes
        elif self._bytes < float('inf'):
            warnings.warn(
                f'LoadImageOnce keeps {len(self._kept)} images, and max_mib={self.max_mib} is '
                'full: the others are read anew each time',
                stacklevel=2,
            )
            self._bytes = float('inf')

    def __getstate__(self) -> dict:
        # Not to every worker that is started by pickling.
        return self.__dict__ | dict(_kept={}, _bytes=0)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(max_mib={self.max_mib}, color_type={self.color_type!r}, '
            f'imdecode_backend={self.imdecode_backend!r})'
        )
