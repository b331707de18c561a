"""Pillow's image operations on batches: images (B, C, H, W) uint8, one parameter an image.

Integer operations give the very pixels that Pillow gives; so do affine maps, in its fixed-point
arithmetic with the nearest pixel. Nothing here draws random numbers or waits for the device.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Pillow's weights of red, green and blue in a grey pixel, in 1 / 65536.
_GREY = (19595, 38470, 7471)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest ``bits`` (B,) of each value.

    Shape:
        images (B, C, H, W) uint8, bits (B,) int64 in [0, 8] -> (B, C, H, W).

    Source:
        ``PIL.ImageOps.posterize``.
    """
    mask = 256 - 2 ** (8 - bits)
    return images & _each(mask).to(torch.uint8)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert all values that are not below ``threshold`` (B,).

    Shape:
        images (B, C, H, W) uint8, threshold (B,) floating -> (B, C, H, W).

    Source:
        ``PIL.ImageOps.solarize``.
    """
    return torch.where(images < _each(threshold), images, 255 - images)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch the values of each channel to 0 .. 255; a channel of one value stays.

    Shape:
        images (B, C, H, W) uint8 -> (B, C, H, W).

    Source:
        ``PIL.ImageOps.autocontrast``.
    """
    low = images.amin(dim=(2, 3), keepdim=True).double()
    high = images.amax(dim=(2, 3), keepdim=True).double()
    span = high - low
    # Not 255.0 / span: torch takes the reciprocal first, and rounds twice.
    scale = torch.full_like(span, 255.0) / torch.where(span > 0, span, 1.0)
    stretched = (images * scale + -low * scale).trunc().clamp(0, 255)
    return torch.where(span > 0, stretched, images.double()).to(torch.uint8)


def equalize(images: Tensor) -> Tensor:
    """Flatten the histogram of each channel.

    Shape:
        images (B, C, H, W) uint8 -> (B, C, H, W).

    Source:
        ``PIL.ImageOps.equalize``.
    """
    b, c, h, w = images.shape
    values = images.reshape(b * c, h * w).long()
    counts = torch.zeros(b * c, 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(1, values, torch.ones_like(values))
    highest = values.amax(dim=1, keepdim=True)
    step = (h * w - counts.gather(1, highest)) // 255
    table = (step // 2 + counts.cumsum(dim=1) - counts) // step.clamp(min=1)
    table = torch.where(step > 0, table, torch.arange(256, device=images.device)).clamp(max=255)
    return table.gather(1, values).reshape(images.shape).to(torch.uint8)


def grey(images: Tensor) -> Tensor:
    """Pillow's grey values of RGB images, in all three channels.

    Shape:
        images (B, 3, H, W) uint8 -> (B, 3, H, W).

    Source:
        ``PIL.Image.convert('L')``.
    """
    return _luma(images).unsqueeze(1).expand_as(images).to(torch.uint8)


def blend(degenerate: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    r"""Mix, or beyond 1 extrapolate: :math:`d + f (x - d)`, cut off and rounded down.

    Shape:
        degenerate and images (B, C, H, W) uint8, factor (B,) floating -> (B, C, H, W).

    Source:
        ``PIL.Image.blend``.
    """
    start = degenerate.float()
    return (start + _each(factor.float()) * (images - start)).clamp(0, 255).to(torch.uint8)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend each image with black by its factor.

    Shape:
        images (B, C, H, W) uint8, factor (B,) floating -> (B, C, H, W).

    Source:
        ``PIL.ImageEnhance.Brightness``.
    """
    return blend(torch.zeros_like(images), images, factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend each image with its grey image by its factor.

    Shape:
        images (B, 3, H, W) uint8, factor (B,) floating -> (B, 3, H, W).

    Source:
        ``PIL.ImageEnhance.Color``.
    """
    return blend(grey(images), images, factor)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend each image with its mean grey by its factor.

    Shape:
        images (B, 3, H, W) uint8, factor (B,) floating -> (B, 3, H, W).

    Source:
        ``PIL.ImageEnhance.Contrast``.
    """
    mean = (_luma(images).double().mean(dim=(1, 2)) + 0.5).floor().to(torch.uint8)
    return blend(_each(mean).expand_as(images), images, factor)


def adjust_sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend each image with its smooth image by its factor.

    Shape:
        images (B, C, H, W) uint8, factor (B,) floating -> (B, C, H, W).

    Source:
        ``PIL.ImageEnhance.Sharpness``.
    """
    c = images.shape[1]
    kernel = torch.ones(c, 1, 3, 3, device=images.device)
    kernel[:, :, 1, 1] = 5
    total = F.conv2d(images.float(), kernel, groups=c).round().int()
    smooth = images.clone()  # Pillow copies the border
    smooth[:, :, 1:-1, 1:-1] = ((2 * total + 13) // 26).clamp(0, 255).to(torch.uint8)
    return blend(smooth, images, factor)


def affine_nearest(images: Tensor, matrix: Tensor, fill: int) -> Tensor:
    r"""Look each output pixel up at :math:`(a x + b y + c, d x + e y + f)`, the nearest one.

    Args:
        images: Square or not, sides below 32768 pixels.
        matrix: (a, b, c, d, e, f), from output to input.
        fill: Value of pixels that lie outside.

    Shape:
        images (B, C, H, W) uint8, matrix (B, 6) float64 -> (B, C, H, W).

    Source:
        ``PIL.Image.transform(size, AFFINE, matrix, NEAREST)``, in 16.16 fixed-point numbers.
    """
    h, w = images.shape[2:]
    a, b, c, d, e, f = matrix.double().unbind(dim=1)

    def fixed(value: Tensor) -> Tensor:
        return _each((value * 65536.0 + 0.5).floor().long())[:, 0]

    x = torch.arange(w, device=images.device)
    y = torch.arange(h, device=images.device)[:, None]
    column = (fixed(c + a * 0.5 + b * 0.5) + fixed(a) * x + fixed(b) * y) >> 16
    row = (fixed(f + d * 0.5 + e * 0.5) + fixed(d) * x + fixed(e) * y) >> 16
    inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    index = (row.clamp(0, h - 1) * w + column.clamp(0, w - 1)).flatten(1).unsqueeze(1)
    found = images.flatten(2).gather(2, index.expand(-1, images.shape[1], -1))
    return torch.where(inside.unsqueeze(1), found.reshape(images.shape), fill).to(torch.uint8)


def rotation_matrix(degrees: float, height: int, width: int) -> tuple[float, ...]:
    """The six numbers (scalars, no shape) of ``PIL.Image.rotate``, counter-clockwise."""
    angle = -math.radians(degrees % 360)
    cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2, height / 2
    return cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y


def crop_at(images: Tensor, top: Tensor, left: Tensor, padding: int) -> Tensor:
    """Crop windows of the images' own size out of the zero-padded images.

    Shape:
        images (B, C, H, W), top and left (B,) int64 in [0, 2 padding] -> (B, C, H, W).
    """
    h, w = images.shape[2:]
    padded = F.pad(images, (padding,) * 4)
    row = top[:, None] + torch.arange(h, device=images.device)
    column = left[:, None] + torch.arange(w, device=images.device)
    index = (row * padded.shape[3])[:, :, None] + column[:, None]
    index = index.flatten(1).unsqueeze(1).expand(-1, images.shape[1], -1)
    return padded.flatten(2).gather(2, index).reshape(images.shape)


def cutout_at(images: Tensor, row: Tensor, column: Tensor, length: int, fill: int = 0) -> Tensor:
    """Fill a square around (row, column); what hangs over the border is cut off.

    Shape:
        images (B, C, H, W), row and column (B,) int64 -> (B, C, H, W).
    """
    h, w = images.shape[2:]
    y, x = (torch.arange(size, device=images.device) for size in (h, w))
    first_row, first_column = row[:, None] - length // 2, column[:, None] - length // 2
    rows = (y >= first_row) & (y < first_row + length)
    columns = (x >= first_column) & (x < first_column + length)
    hole = rows[:, None, :, None] & columns[:, None, None, :]
    return images.masked_fill(hole, fill)


def _luma(images: Tensor) -> Tensor:
    red, green, blue = images.int().unbind(dim=1)
    return (red * _GREY[0] + green * _GREY[1] + blue * _GREY[2] + 0x8000) >> 16


def _each(parameter: Tensor) -> Tensor:
    """One number an image, against (B, C, H, W)."""
    return parameter[:, None, None, None]


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by ``shift`` (B,) of a full turn, in [-0.5, 0.5], by Pillow's HSV values.

    Shape:
        images (B, 3, H, W) uint8 RGB, shift (B,) floating -> (B, 3, H, W).

    Source:
        torchvision's ``adjust_hue`` of a Pillow image.
    """
    red, green, blue = images.float().unbind(dim=1)
    value = images.amax(dim=1).float()
    spread = value - images.amin(dim=1)
    safe = torch.where(spread > 0, spread, 1.0)
    # Single and double precision as Pillow has them, so that its roundings are repeated.
    r, g, b = ((value - channel) / safe for channel in (red, green, blue))
    r2, g2, b2 = r.double(), g.double(), b.double()
    hue = torch.where(green == value, 2.0 + r2 - b2, 4.0 + g2 - r2)
    hue = torch.where(red == value, (b - g).double(), hue).float().double()
    hue = ((hue / 6.0 + 1.0) % 1.0).float().double()
    hue = torch.where(spread > 0, (hue * 255.0).floor(), 0.0)
    share = (spread / value.clamp(min=1.0)).double()
    saturation = ((share * 255.0).floor() / 255.0).float().double()
    turned = (hue + _each((shift.double() * 255).trunc())[:, 0]) % 256

    sector = (turned * 6.0 / 255.0).float().double()
    part = (sector - sector.floor()).float().double()
    value = value.double()
    low, falling, rising = (
        (value * (1.0 - saturation * term) + 0.5).floor()
        for term in (torch.ones_like(part), part, 1.0 - part)
    )
    channels = torch.stack([value, falling, low, rising], dim=1)
    # Which of these four red, green and blue are, by the sixth of the circle.
    table = torch.tensor(
        [[0, 1, 2, 2, 3, 0], [3, 0, 0, 1, 2, 2], [2, 2, 3, 0, 0, 1]], device=images.device
    )
    index = table[:, sector.long() % 6].transpose(0, 1)
    return channels.gather(1, index).to(torch.uint8)


def resized_crop(images: Tensor, box: Tensor) -> Tensor:
    """Cut the boxes (top, left, height, width) out and scale them to the images' own size.

    Bilinear, between the pixels of the box alone; OpenCV's result to within one step of 255.

    Shape:
        images (B, C, H, W) uint8, box (B, 4) int64 in pixels -> (B, C, H, W).

    Source:
        ``cv2.resize(INTER_LINEAR)`` of the box.
    """
    h, w = images.shape[2:]
    top, left, height, width = box.to(torch.float32).unbind(dim=1)

    def places(size: int, first: Tensor, length: Tensor) -> Tensor:
        centre = torch.arange(size, device=images.device) + 0.5
        inner = (centre * (length / size)[:, None] - 0.5).clamp(min=0)
        return first[:, None] + torch.minimum(inner, length[:, None] - 1)

    y, x = places(h, top, height), places(w, left, width)
    grid = torch.stack(
        [
            ((2 * x + 1) / w - 1)[:, None, :].expand(-1, h, -1),
            ((2 * y + 1) / h - 1)[:, :, None].expand(-1, -1, w),
        ],
        dim=-1,
    )
    found = F.grid_sample(images.float(), grid, mode='bilinear', align_corners=False)
    return found.round().clamp(0, 255).to(torch.uint8)


def gaussian_blur(images: Tensor, sigma: Tensor, radius: int = 6) -> Tensor:
    """Blur each image with a Gaussian of ``sigma`` (B,) pixels, cut off at ``radius``.

    Shape:
        images (B, C, H, W) uint8, sigma (B,) > 0 -> (B, C, H, W).

    Source:
        The Gaussian itself; Pillow approximates it by boxes.
    """
    offset = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.exp(-0.5 * (offset / sigma.float()[:, None]) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    b, c, h, w = images.shape
    kernel = kernel.repeat_interleave(c, dim=0)[:, None]
    blurred = F.pad(images.float(), (radius,) * 4, mode='replicate').reshape(
        1, b * c, h + 2 * radius, w + 2 * radius
    )
    blurred = F.conv2d(blurred, kernel[..., None], groups=b * c)
    blurred = F.conv2d(blurred, kernel[:, :, None], groups=b * c)
    return blurred.reshape(images.shape).round().clamp(0, 255).to(torch.uint8)
