"""Plain data to block YAML, enough for a model card's head; every string is quoted, so none is taken for a number or a date."""

from __future__ import annotations

import json
import math
import re
from typing import Any

# JSON leaves these as they are, YAML readers refuse them.
_UNPRINTABLE = re.compile("[\x7f-\x9f\ud800-\udfff\u2028\u2029\ufeff\ufffe\uffff]")


def yaml_head(value: Any, indent: int = 0) -> str:
    """Block YAML of dicts, lists, strings, numbers, booleans and None; other values are written as their text.

    Examples
    --------
    >>> print(yaml_head({"tags": ["a"], "n": 1}), end="")
    tags:
    - "a"
    "n": 1
    """
    pad = "  " * indent
    lines = []
    if isinstance(value, dict):
        for name, content in value.items():
            key = name if re.fullmatch(r"[a-z][a-z_-]*[a-z]", name) and name not in _WORDS else _scalar(name)
            if isinstance(content, dict | list) and content:
                lines.append(f"{pad}{key}:\n{yaml_head(content, indent if isinstance(content, list) else indent + 1)}")
            else:
                lines.append(f"{pad}{key}: {_scalar(content)}\n")
        return "".join(lines)
    for content in value:
        if isinstance(content, dict | list) and content:
            lines.append(f"{pad}- {yaml_head(content, indent + 1)[len(pad) + 2 :]}")
        else:
            lines.append(f"{pad}- {_scalar(content)}\n")
    return "".join(lines)


_WORDS = {"yes", "no", "on", "off", "true", "false", "null"}  # bare, they are not strings in YAML 1.1


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return "null"
        text = repr(value)
        # YAML 1.1 takes 1e-05 for a string: its floats need a dot.
        return text.replace("e", ".0e") if "e" in text and "." not in text else text
    if isinstance(value, dict | list):
        return "{}" if isinstance(value, dict) else "[]"
    text = json.dumps(str(value), ensure_ascii=False)
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    return "?" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}"  # a lone surrogate has no text at all
