"""Keepwell keeps a machine-learning model well after it has been built.

A scientist writes a `Model` of four functions, an engineer one settings file; a `Project` runs the model's life.
"""

from keepwell.beside import Middleware, log_predictions
from keepwell.model import Model
from keepwell.project import Project

__all__ = ["Middleware", "Model", "Project", "log_predictions"]
