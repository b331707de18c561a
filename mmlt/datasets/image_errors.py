"""Say which file is at fault when an image cannot be loaded."""

from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import mmcv
from mmengine.fileio import LocalBackend, get_file_backend
from PIL import Image


@contextmanager
def name_broken_image(get_info):
    """Turn any error inside the block into one that names the image, if the image is the cause.

    Decoders speak of an empty buffer or of extra bytes without a file name. The image is only
    looked at after a failure, so a healthy run pays nothing; an error that the image did not
    cause (a wrong pipeline, say) passes through, with the path as a note.

    Args:
        get_info (Callable[[], dict]): returns the sample's annotation; its 'img_path' is used.

    Raises:
        FileNotFoundError: the image does not exist.
        ValueError: the image exists and cannot be decoded.

    Example:
        >>> with name_broken_image(lambda: dict(img_path='photo.jpg')):
        ...     pass
    """
    try:
        yield
    except Exception as error:
        path = get_info().get('img_path')
        if path is None:
            raise
        if isinstance(get_file_backend(path), LocalBackend):
            if not Path(path).is_file():
                raise FileNotFoundError(f'image {path} does not exist') from error
            fault = _decoding_fault(path)
            if fault:
                raise ValueError(
                    f'image {path} ({Path(path).stat().st_size} bytes) is broken or no image: '
                    f'{fault}; copy or download it again, or take it out of the list'
                ) from error
        error.add_note(f'while loading image {path}')
        raise


def _decoding_fault(path: str) -> str:
    content = Path(path).read_bytes()
    if not content:
        return 'the file is empty'
    try:
        if mmcv.imfrombytes(content) is None:
            return 'OpenCV cannot decode it'
        Image.open(BytesIO(content)).load()
    except Exception as error:  # decoders raise whatever they like
        return f'{type(error).__name__}: {error}'
    return ''
