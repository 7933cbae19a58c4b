"""Models that put pictures and texts, or texts alone, into one space; and who may be asked for candidates."""

from backend.imagetext.endpoint import Endpoint, ask_for_contexts, configured_endpoint
from backend.imagetext.models import MODELS, WordModel, WordVectors, offered_models, open_model

__all__ = [
    "MODELS",
    "Endpoint",
    "WordModel",
    "WordVectors",
    "ask_for_contexts",
    "configured_endpoint",
    "offered_models",
    "open_model",
]
