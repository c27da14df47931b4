"""BentoML, one worker. The folder and the kind come by the environment, since its command line takes none."""

import json
import os
from pathlib import Path
from typing import Any

import bentoml
import joblib
import numpy as np
import pandas as pd

FOLDER, KIND = Path(os.environ["SERVED_FOLDER"]), os.environ["SERVED_KIND"]


@bentoml.service(workers=1)
class Served:
    """The model."""

    def __init__(self) -> None:
        self.model = joblib.load(FOLDER / "model.joblib")
        self.columns = list(json.loads((FOLDER / "columns.json").read_text()))

    @bentoml.api
    def predict(self, rows: list[dict[str, Any]]) -> list[float]:
        if KIND == "lightgbm":
            X = np.array([[row[name] for name in self.columns] for row in rows], float)
        else:
            X = pd.DataFrame(rows, columns=self.columns)
        return self.model.predict_proba(X)[:, 1].tolist()
