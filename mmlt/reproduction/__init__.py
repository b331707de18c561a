"""Tables of runs: what is run, what each run leaves behind, and what is printed of it."""

from mmlt.reproduction.metafile import render_metafile
from mmlt.reproduction.record import read_record, seal, write_record
from mmlt.reproduction.rendering import check_table, render_table, update_readme
from mmlt.reproduction.run import Run
from mmlt.reproduction.table import Row, Table, read_table

__all__ = [
    'Row',
    'Run',
    'Table',
    'check_table',
    'read_record',
    'read_table',
    'render_metafile',
    'render_table',
    'seal',
    'update_readme',
    'write_record',
]
