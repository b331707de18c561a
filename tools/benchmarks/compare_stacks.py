"""Train the same two epochs on every mm stack and compare the weights bit for bit.

    python tools/benchmarks/compare_stacks.py --dir DIR

Makes a virtual environment for each stack (pip downloads torch into each; ``--share FOLDER`` takes
torch and what is not of the stack from another site-packages folder), trains the digits for two
epochs, resumes another run after its first epoch, and prints a line a stack: versions, the first
digits of the SHA-256 of the weights, and whether the resumed run has the same. The exit status is
1 if they differ.
"""

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = 'configs/bce3s/resnet20_digits-lt.py'
UPSTREAM = ['mmcv-lite==2.2.0', 'mmpretrain==1.2.0']
STACKS = {
    'OpenMMLab': ['mmengine==0.10.7', *UPSTREAM],
    'mmengine 0.11': ['mmengine==0.11.0rc3', *UPSTREAM],
    'onedl': ['onedl-mmengine==0.10.12', 'onedl-mmcv==2.3.6', 'onedl-mmpretrain==1.3.6'],
}
OTHERS = ['matplotlib', 'numpy', 'scikit-learn', 'setuptools<82', 'torch', 'torchvision']
REPORT = """
import hashlib, sys, mmlt, mmengine, mmcv, mmpretrain
digests = []
for path in sys.argv[1:]:
    weights = mmlt.checkpoint.load(path)['state_dict']
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].numpy().tobytes())
    digests.append(digest.hexdigest()[:16])
print(mmengine.__version__, mmcv.__version__, mmpretrain.__version__, *digests)
"""


def main() -> None:
    """Make the environments, train, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--dir', type=Path, required=True, help='folder of environments and runs')
    parser.add_argument('--share', help='site-packages folder without an mm stack')
    args = parser.parse_args()
    print(f'{"stack":<16}{"mmengine":<12}{"mmcv":<8}{"mmpretrain":<12}{"weights":<18}resumed')
    found = set()
    for stack, requirements in STACKS.items():
        folder = args.dir / stack.replace(' ', '-')
        python = environment(folder / 'env', requirements, args.share)
        whole, broken = train(python, folder)
        command = [python, '-W', 'ignore', '-c', REPORT, whole, broken]
        words = run(command).stdout.split()[-5:]
        same = 'same' if words[3] == words[4] else words[4]
        print(
            f'{stack:<16}{words[0]:<12}{words[1]:<8}{words[2]:<12}{words[3]:<18}{same}', flush=True
        )
        found |= set(words[3:])
    sys.exit(len(found) != 1)


def environment(folder: Path, requirements: list[str], share: str | None) -> Path:
    """A virtual environment with the stack; kept if it is there."""
    python = folder / 'bin' / 'python'
    if not (folder / 'done').exists():
        venv.create(folder, with_pip=True, clear=True)
        site = next(folder.glob('lib/python*/site-packages'))
        pip = [python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check']
        if share:
            (site / 'shared.pth').write_text(f'{share}\n')
            pip.append('--no-deps')
        run([*pip, *requirements, *([] if share else OTHERS)])
        (folder / 'done').touch()
    return python


def train(python: Path, folder: Path) -> list[Path]:
    """Two epochs at once, and in two runs; returns both last checkpoints."""

    def train(name: str, *flags: str) -> Path:
        options = ['train_cfg.max_epochs=2', 'custom_hooks=[]', 'param_scheduler=[]']
        options += ['default_hooks.checkpoint.max_keep_ckpts=-1']
        words = [python, '-W', 'ignore', 'tools/train.py', CONFIG, '--no-validate', '--work-dir']
        run([*words, folder / name, *flags, '--cfg-options', *options])
        return folder / name / 'epoch_2.pth'

    whole = train('whole')
    broken = folder / 'broken'
    broken.mkdir(exist_ok=True)
    (broken / 'epoch_1.pth').write_bytes((folder / 'whole' / 'epoch_1.pth').read_bytes())
    (broken / 'last_checkpoint').write_text('epoch_1.pth')
    return [whole, train('broken', '--resume')]


def run(words: list) -> subprocess.CompletedProcess:
    """Run a command from the repository; its output is shown if it fails."""
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    done = subprocess.run(list(map(str, words)), cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f'{words}\n{done.stdout}\n{done.stderr}')
    return done


if __name__ == '__main__':
    main()
