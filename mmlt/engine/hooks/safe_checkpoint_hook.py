"""A checkpoint hook that never gives up a file before its successor is safely on disk."""

import os
import os.path as osp
import re

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.base_loop import BaseLoop
from mmpretrain.registry import HOOKS

from mmlt.engine.work_dir import INTERRUPTED, find_resumable, looks_like_ours, pattern_of
from mmlt.files import TEMPORARY, lock_work_dir, write_whole


@register_backend('mmlt_safe_local')
class SafeLocalBackend(LocalBackend):
    """Local disk where a file is whole or absent, and where removal waits for ``clean_up``."""

    def __init__(self):
        self.outdated = []

    def put(self, obj, filepath):
        """Write beside ``filepath``, force it to disk, then rename onto it."""
        write_whole(filepath, obj)

    def remove(self, filepath):
        """Note a file that may go once its successor is there."""
        self.outdated.append(filepath)

    rmtree = remove

    def clean_up(self, folder, keep=(), template='epoch_{}.pth'):
        """Remove what was noted, if it is a checkpoint in the folder and none in ``keep``."""
        for path in sorted(set(self.outdated) - set(keep)):
            remove_ours(folder, osp.basename(path) if _lies_in(path, folder) else path, template)
        self.outdated.clear()


def _lies_in(path: str, folder: str) -> bool:
    return osp.realpath(osp.dirname(path)) == osp.realpath(folder)


def remove_ours(folder: str, name: str, template: str, why: str = '') -> None:
    """Remove a checkpoint of a folder; leave whatever is not one, and say so."""
    path = osp.join(folder, name)
    if osp.isfile(path) and looks_like_ours(name, template):
        os.remove(path)
        if why:
            print_log(f'removed {path}: {why}', logger='current')
    elif osp.exists(path):
        print_log(f'{path} is no checkpoint of this run: it stays', logger='current')


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, safe against being killed at any moment.

    The parent deletes the old checkpoint before it writes the new one, and writes in place: a kill
    in between, or a full disk, loses both. Here the new file is written under another name, forced
    to disk and renamed; ``last_checkpoint`` follows in the same way; only then do old files go. A
    kill leaves at worst one file too many, which goes when the run is resumed.

    The work dir is locked for the run. The names of files that a checkpoint brings count inside
    this run's folder alone: a copied work dir leaves the original alone, and nothing but
    checkpoints is ever removed.

    All options are the parent's. Storage other than the local disk, and the deprecated
    ``file_client_args``, keep the parent's behaviour.

    A run may have a second one that keeps other files in an ``out_dir`` of its own. The first one
    is the run's: what is resumed, what is the best and which files may go is its business.

    Raises:
        ValueError: ``save_best``, ``max_keep_ckpts`` or the run's own folder for a second one;
            ``by_epoch`` in a run that counts iterations.

    Example:
        >>> default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook', interval=1))
    """

    _leftovers: dict = {}
    _safe = False  # until the storage is known, as in a validation alone

    def before_run(self, runner):
        """Keep other runs out of the work dir; find the checkpoint of ``resume=True`` in it."""
        if not isinstance(runner._train_loop, BaseLoop):
            return
        if is_main_process():
            lock_work_dir(runner.work_dir)
        if runner._resume and runner._load_from is None:
            # mmengine would take the path in last_checkpoint as it is, wherever it leads.
            runner._load_from, skipped = find_resumable(runner.work_dir)
            for line in skipped:
                print_log(line, logger='current')

    def after_load_checkpoint(self, runner, checkpoint):
        """Take names from a checkpoint, never paths."""
        resumes = runner._resume and isinstance(runner._train_loop, BaseLoop)
        if not resumes or not self._is_first(runner):
            return
        hub = checkpoint.get('message_hub')
        info = hub.get('runtime_info') if isinstance(hub, dict) else None
        if not isinstance(info, dict):
            return
        out_dir = self._out_dir(runner)
        for key in [key for key in info if str(key).startswith(('best_ckpt', 'last_ckpt'))]:
            path = osp.join(out_dir, osp.basename(str(info[key])))
            ours = looks_like_ours(osp.basename(path), self.filename_tmpl)
            if ours and (key == 'last_ckpt' or osp.isfile(path)):
                info[key] = path
            else:
                print_log(f'{key} {info[key]!r} is not in {out_dir}', logger='current')
                _forget(hub, key)
        for key in ('keep_ckpt_ids', 'outdated_ckpts'):
            kind = int if key == 'keep_ckpt_ids' else str
            if not isinstance(info.get(key, []), list) or not all(
                type(item) is kind for item in info.get(key, [])
            ):
                _forget(hub, key)
        step = checkpoint.get('meta', {}).get('epoch' if self.by_epoch else 'iter', 0)
        best = {osp.basename(str(value)) for key, value in info.items() if 'best_ckpt' in str(key)}
        self._leftovers = dict(names=info.get('outdated_ckpts', []), step=step, best=best)

    def before_train(self, runner):
        """Find the storage, as the parent does, and take the safe one on local disk."""
        first = self._is_first(runner)
        for option, given in dict(
            save_best=self.save_best is not None,
            max_keep_ckpts=self.max_keep_ckpts > 0,
            out_dir=self.out_dir in (None, runner.work_dir),
        ).items():
            if given and not first:
                raise ValueError(
                    f'{option}={getattr(self, option)!r} belongs to the first checkpoint hook of a '
                    'run: a second one keeps what it saves, in an out_dir of its own'
                )
        if self.by_epoch and isinstance(runner.train_loop, IterBasedTrainLoop):
            raise ValueError(
                'the run counts iterations, so a checkpoint hook that goes by epochs would write '
                'one file, at its end: set default_hooks.checkpoint.by_epoch=False and .interval '
                'in iterations'
            )
        super().before_train(runner)
        on_disk = type(self.file_backend) in (LocalBackend, SafeLocalBackend)
        self._safe = on_disk and self.file_client_args is None
        if self._safe:
            self.file_backend = SafeLocalBackend()
            self.backend_args = {'backend': 'mmlt_safe_local'}  # Runner.save_checkpoint's
            if is_main_process():
                self._remove_leftovers(resumed=runner._resume and first)

    def _remove_leftovers(self, resumed: bool) -> None:
        """Remove what a run that was killed while it wrote has left, by three rules."""
        if not osp.isdir(self.out_dir):
            return
        names = sorted(os.listdir(self.out_dir))
        for name in names:
            if TEMPORARY.search(name):
                os.remove(osp.join(self.out_dir, name))
                print_log(f'removed {name}: its writer was killed', logger='current')
        if not resumed or not self._leftovers:
            return
        for name in self._leftovers['names']:
            if name in names and name not in self._leftovers['best']:
                why = 'it was to go when the resumed checkpoint was written'
                remove_ours(self.out_dir, osp.basename(name), self.filename_tmpl, why)
        # A best checkpoint that no regular one knows: of an epoch that the resumed run repeats.
        pattern = pattern_of(self.filename_tmpl)
        steps = [m and (bool(m[1]), int(m[2])) for m in
                 (re.fullmatch(rf'(best_.+_)?{pattern}', name) for name in names)]  # fmt: skip
        if any(step and not step[0] and step[1] > self._leftovers['step'] for step in steps):
            return  # resumed from an older checkpoint on purpose
        for name, step in zip(names, steps):
            known = name in self._leftovers['best'] or not (step and step[0])
            if not known and step[1] >= self._leftovers['step']:
                why = 'the resumed checkpoint was written before it'
                remove_ours(self.out_dir, name, self.filename_tmpl, why)

    def _is_first(self, runner) -> bool:
        return next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook)) is self

    def _out_dir(self, runner) -> str:
        if self.out_dir is None or self.out_dir == runner.work_dir:
            return runner.work_dir
        return osp.join(self.out_dir, osp.basename(runner.work_dir.rstrip(osp.sep)))

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
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = osp.join(self.out_dir, filename)
        first = self._is_first(runner)
        if first:
            outdated = [osp.basename(path) for path in self.file_backend.outdated]
            notes = dict(last_ckpt=self.last_ckpt, outdated_ckpts=outdated)
            if self.max_keep_ckpts > 0:
                notes['keep_ckpt_ids'] = list(self.keep_ckpt_ids)
            runner.message_hub.update_info_dict(notes)
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
        if first and is_main_process():
            last_checkpoint = osp.join(runner.work_dir, 'last_checkpoint')
            self.file_backend.put(self.last_ckpt.encode(), last_checkpoint)

    def _clean_up(self):
        if not self._safe or not is_main_process():
            return
        if self.last_ckpt is not None:
            self.file_backend.outdated += [
                osp.join(self.out_dir, name)
                for name in os.listdir(self.out_dir)
                if name.startswith(INTERRUPTED)
            ]
        best = [getattr(self, 'best_ckpt_path', None)]
        best += getattr(self, 'best_ckpt_path_dict', {}).values()
        self.file_backend.clean_up(self.out_dir, {self.last_ckpt, *best}, self.filename_tmpl)


def _forget(hub: dict, key: str) -> None:
    hub['runtime_info'].pop(key, None)
    if isinstance(hub.get('resumed_keys'), dict):
        hub['resumed_keys'].pop(key, None)
