"""What leaves Errorscope: the flagged examples as CSV, and a manifest that rebuilds them."""

from backend.export.cells import neutralise, restore
from backend.export.flagged import Export, export_flagged
from backend.export.group import group_csv
from backend.export.manifest import Manifest, read_manifest
from backend.export.replay import replay
from backend.export.shapes import keep_shape, make_shape
from backend.export.sharpened import record_of
from backend.export.table import read_export
from backend.export.training import export_training

__all__ = [
    "Export",
    "Manifest",
    "export_flagged",
    "export_training",
    "group_csv",
    "keep_shape",
    "make_shape",
    "neutralise",
    "read_export",
    "read_manifest",
    "record_of",
    "replay",
    "restore",
]
