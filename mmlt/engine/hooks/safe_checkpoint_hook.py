"""A checkpoint hook that never gives up a file before its successor is safely on disk."""

import contextlib
import os
import os.path as osp

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmpretrain.registry import HOOKS


@register_backend('mmlt_safe_local')
class SafeLocalBackend(LocalBackend):
    """Local disk where a file is whole or absent, and where removal waits for ``clean_up``."""

    def __init__(self):
        self.outdated = []

    def put(self, obj, filepath):
        """Write beside ``filepath``, force it to disk, then rename onto it."""
        temporary = f'{filepath}.tmp'
        os.makedirs(osp.dirname(filepath) or '.', exist_ok=True)
        try:
            with open(temporary, 'wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, filepath)
        except BaseException:
            with contextlib.suppress(OSError):
                os.remove(temporary)
            raise
        # The rename itself reaches the disk with its folder; not every file system can be asked.
        with contextlib.suppress(OSError):
            folder = os.open(osp.dirname(filepath) or '.', os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def remove(self, filepath):
        """Note a file or folder that may go once its successor is there."""
        self.outdated.append(filepath)

    rmtree = remove  # deepspeed's checkpoints are folders

    def clean_up(self, keep):
        """Remove what was noted, except the paths in ``keep``: those were written anew."""
        for path in set(self.outdated) - set(keep):
            if self.isdir(path):
                super().rmtree(path)
            elif self.isfile(path):
                super().remove(path)
        self.outdated.clear()


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, safe against being killed at any moment.

    The parent deletes the old checkpoint before it writes the new one, and writes in place: a kill
    in between, or a full disk, loses both. Here the new file is written under another name, forced
    to disk and renamed; ``last_checkpoint`` follows in the same way; only then do old files go. A
    kill leaves at worst one file too many. All options are the parent's. Storage other than the
    local disk, and the deprecated ``file_client_args``, keep the parent's behaviour.

    Example:
        >>> default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook', interval=1))
    """

    def before_train(self, runner):
        """Find the storage, as the parent does, and take the safe one on local disk."""
        super().before_train(runner)
        on_disk = type(self.file_backend) in (LocalBackend, SafeLocalBackend)
        self._safe = on_disk and self.file_client_args is None
        if self._safe:
            self.file_backend = SafeLocalBackend()
            self.backend_args = {'backend': 'mmlt_safe_local'}  # Runner.save_checkpoint's

    def _save_checkpoint(self, runner):
        super()._save_checkpoint(runner)
        self._clean_up()

    def _save_best_checkpoint(self, runner, metrics):
        super()._save_best_checkpoint(runner, metrics)
        self._clean_up()

    def _save_checkpoint_with_step(self, runner, step, meta):
        if not self._safe:
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        # The parent's steps; it writes last_checkpoint in place itself, so they are repeated here.
        if self.max_keep_ckpts > 0 and list(self.keep_ckpt_ids)[-1:] != [step]:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                oldest = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
                if is_main_process():
                    self.file_backend.remove(osp.join(self.out_dir, oldest))
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = osp.join(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            filename,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            last_checkpoint = osp.join(runner.work_dir, 'last_checkpoint')
            self.file_backend.put(self.last_ckpt.encode(), last_checkpoint)

    def _clean_up(self):
        if self._safe:
            best = [getattr(self, 'best_ckpt_path', None)]
            best += getattr(self, 'best_ckpt_path_dict', {}).values()
            self.file_backend.clean_up({self.last_ckpt, *best})
