"""What is wrong with an image file, before a training meets it."""

import os
import warnings
from io import BytesIO
from pathlib import Path

import mmcv
from PIL import Image

# What OpenCV decodes on every system; mmpretrain's CustomDataset leaves out the last two.
READ = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')
# What a person takes for an image, and the loader does not.
UNREAD = ('.gif', '.heic', '.heif', '.avif', '.svg', '.psd', '.raw', '.cr2', '.nef', '.jp2', '.jxl')
# More is a decompression bomb, or no photo: Pillow's own limit.
MAX_PIXELS = 2**30 // 12


def is_photo(name: str) -> bool:
    """Whether :class:`PhotoFolder` reads a file of this name.

    Example:
        >>> is_photo('a.WEBP'), is_photo('a.gif'), is_photo('._a.jpg')
        (True, False, False)
    """
    return name.lower().endswith(READ) and not name.startswith('.')


def image_fault(content: bytes, max_pixels: int = MAX_PIXELS) -> str:
    """Say what is wrong with the bytes of an image; '' if they can be trained on.

    The size is read from the header first: a bomb is never unpacked. Then the image is decoded
    twice, by OpenCV, as a training does, and by Pillow, which tells a truncated file.

    Args:
        content (bytes): the whole file.
        max_pixels (int): more pixels are called a bomb.

    Returns:
        str: the reason in a few words.

    Example:
        >>> image_fault(b''), image_fault(b'hello')
        ('0 bytes', 'not an image')
    """
    if not content:
        return '0 bytes'
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            image = Image.open(BytesIO(content))
            width, height = image.size
            if width * height > max_pixels:
                return f'{width} x {height} pixels, more than {max_pixels}: a bomb, or no photo'
            if _is_deep(image, content):
                return '16 bits a channel, the loader keeps 8: convert it'
            if getattr(image, 'n_frames', 1) > 1:
                return f'{image.n_frames} frames, expected one image'
            image.load()
    except Image.DecompressionBombError:
        return f'more than {2 * Image.MAX_IMAGE_PIXELS} pixels: a bomb'
    except Image.UnidentifiedImageError:
        return 'not an image'
    except Exception as error:  # decoders raise whatever they like
        return f'truncated or damaged: {error}'
    try:
        decoded = mmcv.imfrombytes(content)
    except Exception:
        decoded = None
    return 'OpenCV, which a training reads with, cannot decode it' if decoded is None else ''


def file_fault(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[str, bytes]:
    """Read a file once: what is wrong with it, and its bytes.

    Example:
        >>> file_fault(Path('no such file'))[0]
        'cannot be read: No such file or directory'
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        return f'cannot be read: {error.strerror or error}', b''
    return image_fault(content, max_pixels), content


def dropped_images(dataset) -> list[str]:
    """Images in a dataset's class folders that it leaves out for their suffix.

    Args:
        dataset: mmpretrain's ``CustomDataset`` or another with ``extensions`` and ``img_prefix``;
            of any other, and of one that reads a list, nothing is told.

    Returns:
        list[str]: paths, sorted.
    """
    extensions = getattr(dataset, 'extensions', None)
    if extensions is None or getattr(dataset, 'ann_file', '') or not dataset.img_prefix:
        return []
    images = tuple(set(READ + UNREAD) - set(extensions))
    found = []
    for folder, _, names in os.walk(dataset.img_prefix):
        found += [os.path.join(folder, name) for name in names if name.lower().endswith(images)]
    return sorted(found)


def _is_deep(image: Image.Image, content: bytes) -> bool:
    if image.format == 'PNG':
        return content[24] == 16  # Pillow cuts 16-bit colour to 8 without a word
    if image.format == 'TIFF':
        bits = image.tag_v2.get(258, (8,))
        return max(bits if isinstance(bits, tuple) else (bits,)) > 8
    return image.mode.startswith(('I', 'F'))
