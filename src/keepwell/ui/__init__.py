"""Pages: see in one glance whether the model is well, since when not, why, and what comes next.

An open project comes in; HTML goes out, in front of the HTTP door and at the same addresses, with the words of the command line.
"""

from keepwell.ui.desk import Desk
from keepwell.ui.live import Live
from keepwell.ui.pages import Pages, is_open, is_stream, refusal_page, sign_in_first, warm
from keepwell.ui.remembering import mark_of
from keepwell.ui.sessions import Sessions

__all__ = ["Desk", "Live", "Pages", "Sessions", "is_open", "is_stream", "mark_of", "refusal_page", "sign_in_first", "warm"]
