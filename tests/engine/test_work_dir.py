"""Work dirs: copied, moved, shared, crafted, with leftovers and damaged files in them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from forked import fork
from tiny_run import same, tiny_run, weights

from mmlt import checkpoint
from mmlt.engine.work_dir import find_resumable, looks_like_ours
from mmlt.files import write_whole

ROOT = Path(checkpoint.__file__).parents[1]
BEST = {'checkpoint': {
    'type': 'SafeCheckpointHook', 'interval': 1, 'max_keep_ckpts': 2, 'save_best': 'score',
    'rule': 'greater',
}}  # fmt: skip


def names(folder) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir() if '.pth' in path.name)


def resume(folder, **options):
    path, skipped = find_resumable(folder)
    run = tiny_run(folder, load_from=path, resume=True, **options)
    run.train()
    return path, skipped


@pytest.fixture(scope='module')
def original(tmp_path_factory):
    """Two epochs; the best one is the first."""
    folder = tmp_path_factory.mktemp('work') / 'original'
    tiny_run(folder, epochs=2, hooks=BEST).train()
    assert names(folder) == ['best_score_epoch_1.pth', 'epoch_1.pth', 'epoch_2.pth']
    return folder


@pytest.fixture
def run_dir(original, tmp_path):
    """A copy that is its own."""
    folder = tmp_path / 'run'
    shutil.copytree(original, folder)
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_2.pth'))
    return folder


def edit(path, change) -> None:
    content = torch.load(path, weights_only=True)
    change(content['message_hub']['runtime_info'])
    torch.save(content, path)


def better(runner_info):
    runner_info['best_score'] = 0.1  # so that the next validation writes a new best one


def test_a_copy_leaves_the_original_alone(original, tmp_path):
    """Both last_checkpoint and the message hub name the original by absolute paths."""
    copy = tmp_path / 'copy'
    shutil.copytree(original, copy)
    edit(copy / 'epoch_2.pth', better)
    before = {name: (original / name).read_bytes() for name in names(original)}
    path, _ = resume(copy, hooks=BEST)
    assert path == str(copy / 'epoch_2.pth')
    # The validation of epoch 2 is made up for.
    assert names(copy) == ['best_score_epoch_2.pth', 'epoch_2.pth', 'epoch_3.pth']
    assert {name: (original / name).read_bytes() for name in names(original)} == before


def test_so_does_a_runner_that_is_told_no_more_than_to_resume(original, tmp_path):
    """As mmpretrain's tools do."""
    shutil.copytree(original, tmp_path / 'copy')
    edit(tmp_path / 'copy' / 'epoch_2.pth', better)
    before = {name: (original / name).read_bytes() for name in names(original)}
    run = tiny_run(tmp_path / 'copy', resume=True, hooks=BEST)
    run.train()
    assert run._load_from == str(tmp_path / 'copy' / 'epoch_2.pth')
    assert {name: (original / name).read_bytes() for name in names(original)} == before
    tiny_run(tmp_path / 'empty', epochs=1, resume=True).train()  # nothing to resume: from the start
    assert names(tmp_path / 'empty') == ['epoch_1.pth']


def test_a_moved_work_dir_goes_on(original, tmp_path):
    before, after = tmp_path / 'before', tmp_path / 'after'
    shutil.copytree(original, before)
    (before / 'last_checkpoint').write_text(str(before / 'epoch_2.pth'))
    before.rename(after)
    assert resume(f'{after}/../after//.', hooks=BEST)[0] == str(after / 'epoch_2.pth')
    assert not before.exists()
    assert names(after)[-1] == 'epoch_3.pth'


@pytest.mark.parametrize(
    'target', ['precious', 'precious/data.pth', '../precious', '', '..', 'run/20261121']
)
def test_a_crafted_checkpoint_has_nothing_else_removed(target, run_dir):
    precious = run_dir.parent / 'precious'
    (run_dir / '20261121').mkdir()
    precious.mkdir()
    (precious / 'data.pth').write_text('kept')

    def change(info):
        better(info)
        info['best_ckpt'] = str(run_dir.parent / target)
        info['keep_ckpt_ids'] = ['../../precious/data', 2]
        info['outdated_ckpts'] = ['../precious', '20261121', '../precious/data.pth', '.lock']

    edit(run_dir / 'epoch_2.pth', change)
    resume(run_dir, hooks=BEST)
    assert (precious / 'data.pth').read_text() == 'kept'
    assert (run_dir / '20261121').is_dir()
    assert (run_dir / 'epoch_3.pth').is_file()


OURS = [
    'epoch_2.pth', 'iter_30.pth', 'best_shot_all_epoch_2.pth', 'interrupted_epoch_2_iter_9.pth',
    'interrupted_iter_9.pth',
]  # fmt: skip


@pytest.mark.parametrize('name', OURS)
def test_names_that_are_ours(name):
    template = 'iter_{}.pth' if name.startswith('iter') else 'epoch_{}.pth'
    assert looks_like_ours(name, template)
    for other in (f'../{name}', f'{name}/x', f'x{name}', name[:-1], 'best_/../epoch_2.pth'):
        assert not looks_like_ours(other, template)


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_newest_checkpoint_is_skipped_and_named(run_dir):
    damage(run_dir / 'epoch_2.pth')
    path, skipped = find_resumable(run_dir)
    assert path == str(run_dir / 'epoch_1.pth')
    assert len(skipped) == 1
    assert f'skipped {run_dir}/epoch_2.pth cannot be loaded: ' in skipped[0]
    resume(run_dir, hooks=BEST)
    assert 'epoch_3.pth' in names(run_dir)


def test_if_none_loads_the_run_does_not_begin_anew(run_dir):
    for name in ('epoch_1.pth', 'epoch_2.pth'):
        (run_dir / name).write_bytes(b'')
    with pytest.raises(checkpoint.CheckpointError, match='no checkpoint of .* can be resumed') as e:
        find_resumable(run_dir)
    assert '\n' not in str(e.value)


@pytest.mark.parametrize(
    'content', [None, b'', b'\xff\xfe\0', b'\0', 'folder', b'a\nb', b'nowhere']
)
def test_last_checkpoint_that_is_no_help(content, run_dir):
    last = run_dir / 'last_checkpoint'
    last.unlink()
    if content == 'folder':
        last.mkdir()
    elif content is not None:
        last.write_bytes(content)
    path, notes = find_resumable(run_dir)
    assert path == str(run_dir / 'epoch_2.pth')
    assert notes == [f'{run_dir}/last_checkpoint is missing or unreadable: by the names']


def test_last_checkpoint_counts_where_an_older_run_has_higher_numbers(run_dir):
    shutil.copy(run_dir / 'epoch_2.pth', run_dir / 'epoch_200.pth')
    shutil.copy(run_dir / 'epoch_2.pth', run_dir / 'notes_3.pth')
    assert find_resumable(run_dir) == (str(run_dir / 'epoch_2.pth'), [])


def test_a_folder_without_checkpoints(tmp_path):
    assert find_resumable(tmp_path) == (None, [])
    assert find_resumable(tmp_path / 'nowhere') == (None, [])


def test_leftovers_go_at_the_next_start_and_the_log_says_so(run_dir, capsys):
    for name in ('epoch_3.pth.tmp', 'epoch_3.pth.0123abcd.tmp', 'best_score_epoch_2.pth'):
        shutil.copy(run_dir / 'epoch_1.pth', run_dir / name)
    for name in ('mine.tmp', 'best_model.pth', 'epoch_2_copy.pth'):
        (run_dir / name).write_text('of the user')
    edit(run_dir / 'epoch_2.pth', lambda info: info.update(outdated_ckpts=['epoch_1.pth']))
    resume(run_dir, hooks=BEST, log_level='INFO')
    assert names(run_dir) == [
        'best_model.pth', 'best_score_epoch_1.pth', 'epoch_2.pth', 'epoch_2_copy.pth',
        'epoch_3.pth',
    ]  # fmt: skip
    assert (run_dir / 'mine.tmp').exists()
    out = capsys.readouterr().out
    for name in ('epoch_3.pth.tmp', 'epoch_3.pth.0123abcd.tmp'):
        assert f'removed {name}: its writer was killed' in out
    assert 'best_score_epoch_2.pth: the resumed checkpoint was written before it' in out
    assert 'epoch_1.pth: it was to go when the resumed checkpoint was written' in out


def test_a_run_that_is_resumed_from_an_older_checkpoint_keeps_later_bests(run_dir):
    shutil.copy(run_dir / 'epoch_2.pth', run_dir / 'best_score_epoch_2.pth')
    tiny_run(
        run_dir, load_from=str(run_dir / 'epoch_1.pth'), resume=True, epochs=1, hooks=BEST
    ).train()
    assert 'best_score_epoch_2.pth' in names(run_dir)


LOCKED = """
import sys
sys.path[:0] = [sys.argv[1]]
from mmlt.files import lock_work_dir
lock_work_dir(sys.argv[2])
print('locked', flush=True)
sys.stdin.read()
"""


def test_two_runs_do_not_share_a_work_dir(tmp_path):
    words = [sys.executable, '-c', LOCKED.replace('from mmlt.files', 'from files'),
             str(ROOT / 'mmlt'), str(tmp_path)]  # fmt: skip
    other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == 'locked\n'
        with pytest.raises(RuntimeError, match=f'in use by process {other.pid} on .* --work-dir'):
            tiny_run(tmp_path).train()
        tiny_run(tmp_path).val()  # reads alone
        assert names(tmp_path) == []
    finally:
        other.kill()  # the lock goes with its process, however that ends
        other.communicate()
    tiny_run(tmp_path, epochs=1).train()
    tiny_run(tmp_path, epochs=1).train()  # the same process may
    assert names(tmp_path) == ['epoch_1.pth']


def test_the_disk_is_full(run_dir, monkeypatch):
    whole = (run_dir / 'epoch_2.pth').read_bytes()

    def full(handle):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='cannot write .*epoch_3.pth: No space left') as error:
        resume(run_dir, hooks=BEST)
    text = error.value.strerror
    assert '\n' not in text
    assert 'MiB of the disk of' in text
    assert 'MiB needed; free room there' in text
    assert (run_dir / 'epoch_2.pth').read_bytes() == whole
    assert 'epoch_3.pth' not in ' '.join(names(run_dir))
    monkeypatch.undo()
    assert resume(run_dir, hooks=BEST)[0] == str(run_dir / 'epoch_2.pth')


def test_readers_never_see_half_of_a_file(tmp_path):
    """Two writers, one name: a temporary name in common once gave torn files."""
    path = tmp_path / 'epoch_1.pth'

    def work(letter):
        for _ in range(40):
            write_whole(path, bytes([letter]) * 200_000)

    children = [fork(work, letter) for letter in b'ab']
    seen = set()
    while any(os.waitpid(child, os.WNOHANG)[0] == 0 for child in children[:1]):
        if path.exists():
            content = path.read_bytes()
            assert len(content) == 200_000
            assert len(set(content)) == 1
            seen.add(content[:1])
    for child in children[1:]:
        os.waitpid(child, 0)
    assert seen
    assert os.listdir(tmp_path) == ['epoch_1.pth']


def test_the_resumed_copy_ends_as_the_original(original, tmp_path):
    tiny_run(tmp_path / 'unbroken', hooks=BEST).train()
    shutil.copytree(original, tmp_path / 'copy')
    resume(tmp_path / 'copy', hooks=BEST)
    a, b = (weights(tmp_path / name / 'epoch_3.pth') for name in ('unbroken', 'copy'))
    assert same(a, b)
