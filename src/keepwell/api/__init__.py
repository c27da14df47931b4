"""The HTTP door: predictions, labels and what is known about the model, and the process that serves and works for long.

An open project comes in; `create_app` gives an ASGI app over it, `serve_forever` runs it beside the schedule until it is
told to stop.
"""

from keepwell.api.app import create_app
from keepwell.api.process import serve_forever

__all__ = ["create_app", "serve_forever"]
