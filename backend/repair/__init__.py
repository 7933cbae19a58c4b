"""What a cheap repair would buy: contexts of failures, and the last layer refitted with more weight on them."""

from backend.repair.candidates import LISTS, lists_for, own_list
from backend.repair.coherence import Coherence, coherence
from backend.repair.contexts import PickedContexts, draw_contexts, pick_contexts
from backend.repair.contrast import absent_combinations, contrast_failures, contrast_members
from backend.repair.gain import GroupRepair, repair_group, repair_verdict, repaired_outputs
from backend.repair.head import RetrainedHead, retrain_head
from backend.repair.named import Axis, NamedFailures, name_failures
from backend.repair.splits import FailureSplit, split_failures
from backend.repair.sweep import (
    DebugSet,
    ResolvedFailures,
    head_accuracy,
    resolved_share,
    sweep_heads,
)
from backend.repair.variations import vary_group

__all__ = [
    "LISTS",
    "Axis",
    "Coherence",
    "DebugSet",
    "FailureSplit",
    "GroupRepair",
    "NamedFailures",
    "PickedContexts",
    "ResolvedFailures",
    "RetrainedHead",
    "absent_combinations",
    "coherence",
    "contrast_failures",
    "contrast_members",
    "draw_contexts",
    "head_accuracy",
    "lists_for",
    "name_failures",
    "own_list",
    "pick_contexts",
    "repair_group",
    "repair_verdict",
    "repaired_outputs",
    "resolved_share",
    "retrain_head",
    "split_failures",
    "sweep_heads",
    "vary_group",
]
