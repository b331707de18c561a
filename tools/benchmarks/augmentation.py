"""Time of an augmented image: batched on the device against one at a time in the pipeline.

    python tools/benchmarks/augmentation.py [--batch-size 64] [--repeats 15] [--json FILE]

Prints the medians and the median of the ratios of one run; one thread, CPU time.
"""

import argparse
import json
import statistics
import time

import numpy as np
import torch
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS, TRANSFORMS

import mmlt  # noqa: F401  (registers everything)

JITTER = dict(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
RECIPES = {
    'AutoAugment and Cutout': (
        dict(type='BatchCifarAugment'),
        [
            dict(type='RandomCrop', crop_size=32, padding=4),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='CifarAutoAugment', is_bgr=False),
            dict(type='CifarCutout', length=16),
        ],
    ),
    'SimAugment': (
        dict(type='BatchSimAugment'),
        [
            dict(type='RandomResizedCrop', scale=32, crop_ratio_range=(0.2, 1.0)),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='NumpyToPIL', to_rgb=False),
            dict(
                type='RandomApply',
                transforms=[dict(type='torchvision/ColorJitter', **JITTER)],
                prob=0.8,
            ),
            dict(type='torchvision/RandomGrayscale', p=0.2),
            dict(type='PILToNumpy', to_bgr=False),
        ],
    ),
}


def seconds(function) -> float:
    """CPU time of a call."""
    begin = time.process_time()
    function()
    return time.process_time() - begin


def compare(batched: dict, pipeline: list, batch_size: int, repeats: int) -> dict:
    """Microseconds an image of both, and their ratio."""
    images = torch.randint(256, (batch_size, 3, 32, 32), dtype=torch.uint8)
    arrays = [np.ascontiguousarray(image.permute(1, 2, 0)) for image in images]
    augment = MODELS.build(batched)
    transforms = [TRANSFORMS.build(spec) for spec in pipeline]

    def one_at_a_time():
        for array in arrays:
            results = dict(img=array.copy(), img_shape=(32, 32))
            for transform in transforms:
                results = transform(results)

    pairs = [(seconds(lambda: augment(images)), seconds(one_at_a_time)) for _ in range(repeats)]
    scale = 1e6 / batch_size
    return dict(
        batched_us=scale * statistics.median(pair[0] for pair in pairs),
        pipeline_us=scale * statistics.median(pair[1] for pair in pairs),
        ratio=statistics.median(fast / slow for fast, slow in pairs),
    )


def main():
    """Compare the recipes, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--repeats', type=int, default=15)
    parser.add_argument('--json', metavar='FILE', help='write the numbers there too')
    args = parser.parse_args()
    torch.set_num_threads(1)
    DefaultScope.get_instance('benchmark', scope_name='mmpretrain')
    found = {
        name: compare(*recipe, args.batch_size, args.repeats) for name, recipe in RECIPES.items()
    }
    for name, row in found.items():
        print(
            f'{name}: {row["batched_us"]:.0f} us batched, {row["pipeline_us"]:.0f} us in the '
            f'pipeline, ratio {row["ratio"]:.2f}'
        )
    if args.json:
        with open(args.json, 'w') as file:
            json.dump(found, file, indent=1)


if __name__ == '__main__':
    main()
