"""A typed client of the API, for programs on other machines. It needs httpx and pydantic alone; the folder may be copied.

    from clinicmart.api_client import Client, models

    with Client("https://harbor.clinics.example", token) as client:
        answer = client.query(models.Question(metrics=["denial_rate"], by=["payer"], grain="month"))

`client.py` and `models.py` are made from the API's own document by `make generate`.
"""

from clinicmart.api_client import models
from clinicmart.api_client.client import Client
from clinicmart.api_client.connection import ApiProblemError, Extract

__all__ = ["ApiProblemError", "Client", "Extract", "models"]
