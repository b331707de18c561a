"""What steers the runner."""

from mmlt.engine import hooks
