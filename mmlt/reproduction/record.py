"""What a finished run leaves behind: one JSON, whole, with a seal that shows a change by hand."""

import hashlib
import json
from pathlib import Path

from mmlt.files import write_whole


def seal(record: dict) -> str:
    """SHA-256 of everything in a record but the seal itself.

    Example:
        >>> seal(dict(a=1)) == seal(dict(a=1, seal='anything'))
        True
    """
    content = {key: value for key, value in record.items() if key != 'seal'}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_record(path, record: dict) -> None:
    """Write a record and its seal."""
    record = json.loads(json.dumps(record))  # tuples and integer keys as they will be read
    write_whole(path, json.dumps(record | dict(seal=seal(record)), indent=1) + '\n')


def read_record(path) -> dict:
    """Read a record.

    Raises:
        ValueError: It is no JSON object, or was changed after it was written.
    """
    path = Path(path)
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'result {path} is not valid JSON: {error}') from error
    if not isinstance(record, dict) or 'seal' not in record:
        raise ValueError(f'result {path} must be an object with a seal, as reproduce.py writes it')
    if seal(record) != record['seal']:
        raise ValueError(
            f'result {path} was changed after it was written (its seal does not fit): remove it '
            'and run its row again'
        )
    return record
