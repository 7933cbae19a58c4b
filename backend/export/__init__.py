"""What leaves Errorscope: the flagged examples as CSV, and a manifest that rebuilds them."""

from backend.export.cells import neutralise, restore
from backend.export.flagged import Export, export_flagged
from backend.export.manifest import Manifest, read_manifest
from backend.export.replay import replay
from backend.export.table import read_export
from backend.export.weights import Shape, kernel_weights

__all__ = [
    "Export",
    "Manifest",
    "Shape",
    "export_flagged",
    "kernel_weights",
    "neutralise",
    "read_export",
    "read_manifest",
    "replay",
    "restore",
]
