"""Who may do what: tokens with an owner and a role, the acts that each role may do, limits, and the audit of what was refused.

A secret and an act come in; a holder who may, or the refusal, goes out. The secret itself is kept nowhere.
"""

from keepwell.access.auditing import Audit, Refusal
from keepwell.access.certificates import certificate_of
from keepwell.access.doorkeeper import HOLDER, OPEN, REFRESH_S, Doorkeeper, Holder, owner_of
from keepwell.access.limits import Bucket
from keepwell.access.roles import ACTS, CLIENT, ROLES, Act, acts_of, refuse_role
from keepwell.access.tables import add_token, get_token, list_tokens, revoke_token
from keepwell.access.tokens import PREFIX, Token, checked_token, digest_of_secret

__all__ = [
    "ACTS",
    "CLIENT",
    "HOLDER",
    "OPEN",
    "PREFIX",
    "REFRESH_S",
    "ROLES",
    "Act",
    "Audit",
    "Bucket",
    "Doorkeeper",
    "Holder",
    "Refusal",
    "Token",
    "acts_of",
    "add_token",
    "certificate_of",
    "checked_token",
    "digest_of_secret",
    "get_token",
    "list_tokens",
    "owner_of",
    "refuse_role",
    "revoke_token",
]
