"""Rehearse: how would the kept history have gone under another policy?

Kept observations and policies go in; each policy lives through them by the same code, in a folder of its own that goes away; what each
came to goes out: score, time below target, builds, alarms, seconds. The newest rehearsal stays on record.
"""

from keepwell.rehearsal.keeping import keep, kept
from keepwell.rehearsal.outcomes import Outcome, Rehearsal
from keepwell.rehearsal.policies import BUILT_IN, Policy, read_policies
from keepwell.rehearsal.rehearse import rehearse

__all__ = ["BUILT_IN", "Outcome", "Policy", "Rehearsal", "keep", "kept", "read_policies", "rehearse"]
