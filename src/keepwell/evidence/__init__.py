"""What others may check: is the record still what was written, and a file of evidence that says so without this program's word.

The record comes in; a verdict or a zip file goes out.
"""

from keepwell.evidence.bundle import Bundle, bundle, verify_bundle
from keepwell.evidence.verifying import COVERED, UNCOVERED, Verdict, verify

__all__ = ["COVERED", "UNCOVERED", "Bundle", "Verdict", "bundle", "verify", "verify_bundle"]
