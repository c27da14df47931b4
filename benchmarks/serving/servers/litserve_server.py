"""LitServe, one worker, as its documentation begins. Arguments: folder, port, kind."""

import json
import sys
from pathlib import Path

import joblib
import litserve
import numpy as np
import pandas as pd

FOLDER, PORT, KIND = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


class Served(litserve.LitAPI):
    """The model."""

    def setup(self, device):
        self.model = joblib.load(FOLDER / "model.joblib")
        self.columns = list(json.loads((FOLDER / "columns.json").read_text()))

    def decode_request(self, request):
        if KIND == "lightgbm":
            return np.array([[row[name] for name in self.columns] for row in request["rows"]], float)
        return pd.DataFrame(request["rows"], columns=self.columns)

    def predict(self, X):
        return self.model.predict_proba(X)[:, 1]

    def encode_response(self, found):
        return {"probabilities": found.tolist()}


if __name__ == "__main__":
    litserve.LitServer(Served(), accelerator="cpu", workers_per_device=1).run(
        port=PORT, host="127.0.0.1", generate_client_file=False, log_level="warning", access_log=False
    )
