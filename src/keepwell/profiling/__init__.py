"""Describe: what is in a table, and how two tables differ.

Tables of any size come in; profiles that add up go out, and comparisons that say which columns changed, how and how far, with a
stated share of false listings. It needs no project, and loads no more than NumPy and Polars before it is used.
"""

from keepwell.profiling.comparison import ColumnComparison, Comparison, compare
from keepwell.profiling.page import document
from keepwell.profiling.profiles import Profile
from keepwell.profiling.scan import profile
from keepwell.profiling.words import LISTED_HEAD, listed_fields, markdown_table

__all__ = ["LISTED_HEAD", "ColumnComparison", "Comparison", "Profile", "compare", "document", "listed_fields", "markdown_table", "profile"]
