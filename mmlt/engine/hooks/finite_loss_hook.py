"""Stop a run whose loss is no number any more."""

import logging
import os.path as osp

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmpretrain.registry import HOOKS

from mmlt.engine.bare_model import bare_model
from mmlt.files import write_whole

# Of a scaler that skips the steps: it halves its scale each time, and 100 halvings are none.
MAX_SKIPPED = 100


class NonFiniteLossError(ArithmeticError):
    """The loss is NaN or infinite; the message has what led there."""


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop at the first loss that is NaN or infinite, before it reaches the weights.

    Without it such a run goes on to its end and prints the accuracy of one class. The error names
    iteration, parts of the loss, learning rate and the images of the batch; the state before the
    step is saved as ``non_finite_loss_iter_<i>_rank<r>.pth``, to look at, not to resume.

    The float16 gradient scaler skips such steps itself and lowers its scale; only 100 of them in
    a row end the run.

    Args:
        patience (int): Losses in a row that end the run. With more than 1 the steps before are
            taken as they are. Defaults to 1.

    Raises:
        NonFiniteLossError: See above; the process ends with exit status 1.

    Example:
        ``default_hooks = dict(finite_loss=dict(type='FiniteLossHook'))``
    """

    def __init__(self, patience: int = 1):
        if type(patience) is not int or patience < 1:
            raise ValueError(f'patience must be an integer >= 1, got {patience!r}')
        self.patience = patience
        self.seen = 0
        self._batch = None

    def before_train(self, runner) -> None:
        """Look at the losses where the model adds them up."""
        model = bare_model(runner)
        parse_losses = model.parse_losses

        def checked(losses):
            loss, parts = parse_losses(losses)
            self._check(runner, loss, parts)
            return loss, parts

        model.parse_losses = checked

    def after_train(self, runner) -> None:
        """Leave the model as it was."""
        bare_model(runner).__dict__.pop('parse_losses', None)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Keep the batch, for its image paths."""
        self._batch = data_batch

    def _check(self, runner, loss: torch.Tensor, parts: dict) -> None:
        # The logger asks for the value in every iteration anyway.
        if torch.isfinite(loss.detach()).all():
            self.seen = 0
            return
        self.seen += 1
        scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
        skipped = scaler is not None and scaler.is_enabled()
        text = self._describe(runner, parts)
        if self.seen < (max(self.patience, MAX_SKIPPED) if skipped else self.patience):
            print_log(text, logger='current', level=logging.WARNING)
            return
        path = osp.join(
            runner.work_dir, f'non_finite_loss_iter_{runner.iter + 1}_rank{get_rank()}.pth'
        )
        _save(runner, path)
        raise NonFiniteLossError(f'{text}; the state before this step is saved in {path}')

    def _describe(self, runner, parts: dict) -> str:
        values = ', '.join(
            f'{name} {float(torch.as_tensor(value).detach()):.4g}' for name, value in parts.items()
        )
        rates = ', '.join(f'{rate[0]:.4g}' for rate in runner.optim_wrapper.get_lr().values())
        paths = image_paths(self._batch)
        shown = ', '.join(paths[:8]) + (f' and {len(paths) - 8} more' if len(paths) > 8 else '')
        return (
            f'the loss is not finite in epoch {runner.epoch + 1}, iteration {runner.iter + 1}: '
            f'{values}; learning rate {rates}; images: {shown or "without paths"}'
        )


def image_paths(batch) -> list[str]:
    """Paths of the images of a batch as the data loader gives it.

    Example:
        >>> from mmpretrain.structures import DataSample
        >>> image_paths({'data_samples': [DataSample(metainfo=dict(img_path='a.jpg'))]})
        ['a.jpg']
    """
    samples = batch.get('data_samples', ()) if isinstance(batch, dict) else ()
    if not isinstance(samples, list | tuple):
        return []
    paths = [sample.get('img_path') for sample in samples if hasattr(sample, 'get')]
    return [str(path) for path in paths if path]


def _save(runner, path: str) -> None:
    """On whatever process it happened; Runner.save_checkpoint writes on the first alone."""
    import io

    buffer = io.BytesIO()
    state = bare_model(runner).state_dict()
    meta = dict(epoch=runner.epoch, iter=runner.iter, non_finite_loss=True)
    torch.save(dict(state_dict=state, meta=meta), buffer)
    try:
        write_whole(path, buffer.getvalue())
    except OSError as error:
        print_log(str(error), logger='current', level=logging.ERROR)
