"""Models that put pictures and texts, or texts alone, into one space; and who may be asked for candidates."""

from backend.imagetext.endpoint import (
    Endpoint,
    ask_for_contexts,
    configured_endpoint,
    what_leaves,
)
from backend.imagetext.models import (
    MODELS,
    WordModel,
    WordVectors,
    model_state,
    offered_models,
    open_model,
)

__all__ = [
    "MODELS",
    "Endpoint",
    "WordModel",
    "WordVectors",
    "ask_for_contexts",
    "configured_endpoint",
    "model_state",
    "offered_models",
    "open_model",
    "what_leaves",
]
