"""Deploy: move the champion alias forward or back; model, features code, contract and settings move with it.

A version that may go live comes in; a recorded alias change goes out.
"""

from keepwell.deployment.rollout import Rollout, promote, rollback

__all__ = ["Rollout", "promote", "rollback"]
