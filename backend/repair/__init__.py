"""What a cheap repair would buy: contexts of failures, and the last layer refitted with more weight on them."""

from backend.repair.contexts import PickedContexts, draw_contexts, pick_contexts
from backend.repair.head import RetrainedHead, retrain_head
from backend.repair.splits import FailureSplit, split_failures
from backend.repair.sweep import DebugSet, Resolved, head_accuracy, resolved_share, sweep_heads

__all__ = [
    "DebugSet",
    "FailureSplit",
    "PickedContexts",
    "Resolved",
    "RetrainedHead",
    "draw_contexts",
    "head_accuracy",
    "pick_contexts",
    "resolved_share",
    "retrain_head",
    "split_failures",
    "sweep_heads",
]
