"""A typed client of the API, for programs on other machines. It needs httpx and pydantic alone. The folder may be copied
and renamed: its files import one another by relative names.

    from clinicmart.api_client import Client, models

    with Client("https://harbor.clinics.example", token) as client:
        answer = client.query(models.Question(metrics=["denial_rate"], by=["payer"], grain="month"))

`client.py` and `models.py` are made from the API's own document by `make generate`.
"""

from . import models
from .client import Client
from .connection import ApiProblemError, Extract, Table

__all__ = ["ApiProblemError", "Client", "Extract", "Table", "models"]
