"""Validation: is what came what was promised?

A contract is inferred from a first good window (`infer`), kept as a file that people review (`to_toml`, `from_toml`),
and every batch is checked against it (`check`): good rows go on, broken rows are set aside with their reason, and what
only several rows show holds retraining. Time and the newest accepted rows come in as arguments; only `tables` reads the record.
"""

from keepwell.validation.check import KINDS, check
from keepwell.validation.contract import infer
from keepwell.validation.contract_file import from_toml, to_toml
from keepwell.validation.privacy import personal
from keepwell.validation.records import Column, Contract, Finding, Report
from keepwell.validation.schema import schema
from keepwell.validation.tables import ContractInForce, contract_in_force, put_in_force

__all__ = [
    "KINDS",
    "Column",
    "Contract",
    "ContractInForce",
    "Finding",
    "Report",
    "check",
    "contract_in_force",
    "from_toml",
    "infer",
    "personal",
    "put_in_force",
    "schema",
    "to_toml",
]
