# ViT-B/16 as CLIP has it (no bias in the patches, a norm before the first layer, QuickGELU, epsilon
# 1e-5 in the norms; mmpretrain's ViT has 1e-6).
#
# The checkpoint is a local file, named by MMLT_VIT in the environment. It is made of a folder in the
# Hugging Face form by tools/model_converters/convert_clip.py, of OpenAI's own file by mmpretrain's
# tools/model_converters/openai-clip_to_mmpretrain-clip.py.
#
# For a ViT-B/16 of mmpretrain, such as one trained on ImageNet-21k:
#   --cfg-options model.backbone.init_cfg.prefix=backbone. model.backbone.pre_norm=False \
#       model.backbone.layer_cfgs.act_cfg.type=GELU model.backbone.norm_cfg.eps=1e-6
# One that was fine-tuned on ImageNet-1k has seen the images that ImageNet-LT left out.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='VisionTransformer',
        arch='b',
        img_size=224,
        patch_size=16,
        pre_norm=True,
        norm_cfg=dict(type='LN', eps=1e-5),
        layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU')),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$MMLT_VIT:checkpoints/clip-vit-base-p16.pth}}',
            prefix='visual.',
        ),
    ),
)
