"""The trained model as MLflow loads and serves it; this file is kept with the model ("models from code").

It needs the package laspa, which comes with the model too, and nothing else of this project.
"""

from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel

from laspa.errors import LaspaError
from laspa.recogniser.recogniser import Recogniser
from laspa.recogniser.requests import FIELDS, answer_all

MODEL_ARTIFACT = "model"


class ServedRecogniser(PythonModel):
    """Embeds `audio`; compares it with `other` where that is given; both are base64."""

    def load_context(self, context: Any) -> None:
        """Load the weights that came with the model."""
        self.recogniser = Recogniser.load(context.artifacts[MODEL_ARTIFACT], device="auto")

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """One answer for each row (laspa/recogniser/requests.py); bad input is MLflow's status 400."""
        table = model_input.reindex(columns=[*FIELDS]).astype(object)
        rows = table.where(table.notna(), None).to_dict("records")
        try:
            return answer_all(self.recogniser, rows)
        except LaspaError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None


mlflow.models.set_model(ServedRecogniser())
