"""The server that everybody writes first: FastAPI, pydantic, the fitted object; no log. Arguments: folder, port, kind."""

import json
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

FOLDER, PORT, KIND = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
MODEL = joblib.load(FOLDER / "model.joblib")
COLUMNS = list(json.loads((FOLDER / "columns.json").read_text()))
app = FastAPI()


class Body(BaseModel):
    """Rows by name."""

    rows: list[dict[str, float | str | None]]


@app.post("/predict")
def predict(body: Body) -> dict[str, list[float]]:
    if KIND == "lightgbm":  # an array, which costs LightGBM half of what a frame does
        X = np.array([[row[name] for name in COLUMNS] for row in body.rows], float)
    else:
        X = pd.DataFrame(body.rows, columns=COLUMNS)
    return {"probabilities": MODEL.predict_proba(X)[:, 1].tolist()}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, access_log=False, log_level="warning")
