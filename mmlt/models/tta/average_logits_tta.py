"""Test-time augmentation by the mean of the logits."""

import torch
from mmengine.model import BaseTTAModel
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample


@MODELS.register_module()
class AverageLogitsTTA(BaseTTAModel):
    r"""Average the logits of the augmented images; what is predicted is their softmax.

    .. math:: p \propto \exp \Big( \frac{1}{T} \sum_t z^{(t)} \Big) \propto
        \prod_t (p^{(t)})^{1/T}

    mmpretrain's ``AverageClsScoreTTA`` averages the scores :math:`p^{(t)}` instead, where one
    confident pass outvotes the others; the two predict differently for a few percent of images.
    The logits are taken from the scores, whose logarithms are the logits up to a number for each
    image, which changes nothing. A score that has underflowed to 0 counts as the smallest number.

    The ``expert_scores`` of an :class:`ExpertsHead` are averaged in the same way, those of each
    expert apart. Everything else in a data sample, such as the ``features`` for
    ``FeatureGeometry``, is that of the first pass; ``tools/test.py --tta`` has the plain image
    first.

    Args:
        module (dict | Module): The model.
        data_preprocessor (dict, optional): As in mmengine's ``BaseTTAModel``.

    Source:
        BCE3S, released code, with the mirror image.

    Example:
        >>> from mmpretrain.models import ImageClassifier
        >>> tta = AverageLogitsTTA(ImageClassifier(dict(type='LeNet5', num_classes=2)))
        >>> scores = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
        >>> passes = [DataSample().set_pred_score(score) for score in scores]
        >>> tta.merge_preds([passes])[0].pred_score  # odds 9 and 1/4: their geometric mean is 1.5
        tensor([0.6000, 0.4000])
    """

    def merge_preds(self, data_samples_list: list[list[DataSample]]) -> list[DataSample]:
        """Merge the passes of each image."""
        return [self._merge(passes) for passes in data_samples_list]

    def _merge(self, passes: list[DataSample]) -> DataSample:
        merged = passes[0].new()
        merged.set_pred_score(_mean_score([sample.pred_score for sample in passes]))
        if 'pred_label' in merged:
            merged.set_pred_label(merged.pred_score.argmax().item())
        if 'expert_scores' in merged:
            scores = _mean_score([sample.expert_scores for sample in passes])
            merged.set_field(scores, 'expert_scores')
        return merged


def _mean_score(scores: list[torch.Tensor]) -> torch.Tensor:
    """Softmax (..., K) of the mean logits of scores (..., K)."""
    scores = torch.stack(scores).float()
    logits = scores.clamp(min=torch.finfo(scores.dtype).tiny).log().mean(dim=0)
    return logits.softmax(dim=-1)
