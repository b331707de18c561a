"""What every dataset that wraps another one passes on, and what is inside."""

from torch.utils.data import Dataset


class DatasetWrapper:
    """Base of the wrappers: :attr:`dataset` is the wrapped one."""

    @property
    def metainfo(self) -> dict:
        """A copy of the wrapped dataset's meta information."""
        return self.dataset.metainfo

    @property
    def CLASSES(self):  # noqa: N802 (mmpretrain's name)
        """Names of the classes, or None."""
        return self.dataset.CLASSES

    # Hooks and tools that set ``dataset.pipeline`` must reach the dataset that uses it.
    @property
    def pipeline(self):
        """The wrapped dataset's pipeline."""
        return self.dataset.pipeline

    @pipeline.setter
    def pipeline(self, pipeline):
        self.dataset.pipeline = pipeline


def innermost(dataset):
    """The dataset inside its wrappers."""
    while isinstance(getattr(dataset, 'dataset', None), Dataset):
        dataset = dataset.dataset
    return dataset
