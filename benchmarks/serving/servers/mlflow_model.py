"""Write the model in MLflow's form, with its signature. Arguments: folder, kind, where to."""

import json
import sys
from pathlib import Path

import joblib
import mlflow
import pandas as pd

FOLDER, KIND, TARGET = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
MODEL = joblib.load(FOLDER / "model.joblib")
X = pd.DataFrame(json.loads((FOLDER / "rows.json").read_text()))
signature = mlflow.models.infer_signature(X, MODEL.predict(X.to_numpy() if KIND == "lightgbm" else X))
if KIND == "lightgbm":
    mlflow.lightgbm.save_model(MODEL, TARGET, signature=signature)
else:
    mlflow.sklearn.save_model(MODEL, TARGET, signature=signature, serialization_format="cloudpickle")
