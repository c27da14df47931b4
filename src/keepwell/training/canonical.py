"""The digest of what a model file says, not of how it happens to be written.

A skops file is a zip with times, memory addresses and random names in it, and scikit-learn's tree nodes have unused bytes
between their fields. None of that is the model: equal models must have equal digests.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import numpy as np

# Left from the fit and not used for answers: clocks, and seeds that were drawn because none was given.
SCRATCH = {
    "_feature_subsample_rng",
    "_random_seed",
    "mean_fit_time",
    "mean_score_time",
    "refit_time_",
    "std_fit_time",
    "std_score_time",
}


def skops_digest(data: bytes) -> str:
    """SHA-256 of a skops file's canonical form: its schema without addresses, each member by the digest of its content."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        schema = json.loads(file.read("schema.json"))
        del schema["_skops_version"]
        text = json.dumps(_tidy(schema, file), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _tidy(part: Any, file: zipfile.ZipFile, where: str = "") -> Any:
    if isinstance(part, list):
        return [_tidy(item, file) for item in part]
    if not isinstance(part, dict):
        return part
    tidy: dict[str, Any] = {}
    where = part.get("__class__", where) if part.get("__loader__") == "ObjectNode" else where
    for name, value in part.items():
        if name in SCRATCH or (name == "random_state" and where == "_BinMapper"):  # the latter is the drawn seed again
            tidy[name] = None
        elif name == "file" and "__loader__" in part:
            tidy[name] = _content(file.read(value))
        elif name != "__id__":
            tidy[name] = _tidy(value, file, where)
    if tidy.get("__loader__") == "SetNode":
        tidy["content"] = sorted(tidy["content"], key=json.dumps)
    if tidy.get("__loader__") == "DictNode":  # its order is part of what it says
        tidy["content"] = list(tidy["content"].items())
    if tidy.get("__loader__") == "PartialNode" and tidy["content"]["namespace"]["content"] in ("null", []):
        tidy["content"]["namespace"] = None  # one that was loaded has an empty one where a fresh one has none
    return tidy


def _content(data: bytes) -> str:
    if not data.startswith(b"\x93NUMPY"):
        return hashlib.sha256(data).hexdigest()
    array = np.load(io.BytesIO(data), allow_pickle=False)
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    if array.dtype.names is None:
        digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()
    for name in array.dtype.names:
        column = array[name]
        if name == "missing_go_to_left" and "left_child" in array.dtype.names:
            column = np.where(array["left_child"] == -1, 0, column)  # a leaf never sends anything anywhere, and it is not set
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
