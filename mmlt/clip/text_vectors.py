"""Class vectors of CLIP's text tower, brought to where its image features are."""

import torch
import torch.nn.functional as F
from mmengine.utils import track_iter_progress


@torch.no_grad()
def text_vectors(
    model, tokenizer, words: list[str], templates: list[str], project=True, batch_size=256
):
    r"""Compute the unit vectors of classes from what they are called.

    .. math::
        t_k = \text{unit} \Big( \frac{1}{T} \sum_j \text{unit}(E(p_{jk})) \Big), \quad
        w_k = \text{unit}(P t_k)

    E is the text tower with its projection, :math:`p_{jk}` template j with the name of class k, P
    (D, d) the transpose of the image tower's projection: it takes the text feature to where the
    class token is before that projection. What follows E is computed in float64.

    Args:
        model (transformers.CLIPModel): in evaluation mode.
        tokenizer (transformers.CLIPTokenizer): the model's.
        words (list[str]): K names.
        templates (list[str]): T texts with one {} each.
        project (bool): whether to multiply by P; without, :math:`w_k = t_k`. Defaults to True.
        batch_size (int): prompts at a time. Defaults to 256.

    Shape:
        (K, D), or (K, d) without projection, float64. ViT-B/16: D 768, d 512.

    Raises:
        ValueError: a prompt that is longer than the tower reads.

    Source:
        Radford et al. 2021 (CLIP), zero-shot classifiers and ensembles; the projection: LIFT (Shi
        et al., ICML 2024).

    Example:
        >>> text_vectors(*read_clip('clip-vit-base-patch16'), ['cat'], ['{}']).shape
        ... # doctest: +SKIP
        torch.Size([1, 768])
    """
    total = 0.0
    for template in track_iter_progress(templates):
        prompts = [template.replace('{}', word) for word in words]
        total = total + torch.cat([
            F.normalize(_encode(model, tokenizer, prompts[i : i + batch_size]).double(), dim=1)
            for i in range(0, len(prompts), batch_size)
        ])  # fmt: skip
    vectors = F.normalize(total / len(templates), dim=1)
    if project:
        vectors = F.normalize(vectors @ model.visual_projection.weight.double(), dim=1)
    return vectors.cpu()


def _encode(model, tokenizer, prompts: list[str]) -> torch.Tensor:
    # Not get_text_features, which returns a tensor in one version and a tuple in another.
    tokens = tokenizer(prompts, padding=True, return_tensors='pt').to(model.device)
    longest = model.config.text_config.max_position_embeddings
    lengths = tokens['attention_mask'].sum(dim=1)
    if lengths.max() > longest:
        prompt = prompts[int(lengths.argmax())]
        raise ValueError(
            f'the prompt {prompt[:80]!r} has {int(lengths.max())} tokens, the text tower reads '
            f'{longest}: shorten the name or the template'
        )
    return model.text_projection(model.text_model(**tokens).pooler_output)
