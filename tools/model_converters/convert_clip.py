"""Convert the image tower of a CLIP model: ``convert_clip.py CLIP_FOLDER --out clip.pth``.

The folder is in the Hugging Face form (config.json, model.safetensors, vocab.json, merges.txt) and
is read with transformers (pip install 'mmlt[text]'), without network. FILE has the weights of
mmpretrain's VisionTransformer under 'visual.', as configs/_base_/models/vit-base-p16_clip.py reads
them: MMLT_VIT=FILE. The features are those of CLIP before its projection. Prints the backbone that
fits. Files of OpenAI's own (ViT-B-16.pt): mmpretrain's openai-clip_to_mmpretrain-clip.py.
"""

import argparse
import io
import os

import torch
from mmengine.config import Config

import mmlt
from mmlt.clip import backbone_settings, image_tower, read_clip
from mmlt.commands import refuse_existing, run
from mmlt.files import write_whole


def main(argv=None) -> None:
    """Convert, then say which backbone takes the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('clip_folder', help='folder of a CLIP model')
    parser.add_argument('--out', required=True, metavar='FILE.pth', help='what to write')
    args = parser.parse_args(argv)
    if not args.out.endswith('.pth'):
        parser.error(f'--out must end with .pth, got {args.out}')
    refuse_existing(parser, args.out)
    model, _ = read_clip(args.clip_folder)
    backbone, weights = backbone_settings(model), image_tower(model)
    name = os.path.basename(os.path.realpath(args.clip_folder))
    meta = dict(clip=name, backbone=backbone, mmlt=mmlt.__version__)
    buffer = io.BytesIO()
    torch.save(dict(state_dict=weights, meta=meta), buffer)
    write_whole(args.out, buffer.getvalue())
    number = sum(weight.numel() for weight in weights.values())
    print(f'{args.out}: {len(weights)} tensors, {number / 1e6:.2f} million numbers, float32')
    start = dict(type='Pretrained', checkpoint=args.out, prefix='visual.')
    settings = dict(type='VisionTransformer', **backbone, init_cfg=start)
    print(Config(dict(backbone=settings)).pretty_text, end='')


if __name__ == '__main__':
    run(main)
