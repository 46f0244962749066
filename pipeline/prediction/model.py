"""A kept model in Python, with genotypes where it needs them: `pipeline.load_model`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.data import Table
from pipeline.prediction.scoring import NONE, columns_of_ids, read_people, score, with_genotypes
from pipeline.tracking import FetchedModel, fetch_model


@dataclass(frozen=True, eq=False)
class KeptModel:
    """A network of a study, to use."""

    fetched: FetchedModel

    def predict(
        self, people: str | Path | pd.DataFrame, genotypes: str = NONE, id: str = NONE
    ) -> pd.DataFrame:
        """One row a person: probabilities of classes, or the quantity in the table's unit.

        people     a CSV or Parquet file, or a DataFrame
        genotypes  where the model uses them: the prefix of a fileset of these people; those who are
                   not in it have no row. `none` means `simulated` where the study's are
        id         the column of people's ids, as in the .fam, or `FID,IID`

        A Python warning for each sentence that the command would print. Raises InputError.
        """
        ids = columns_of_ids(id)
        if isinstance(people, pd.DataFrame):
            given_table = Table(people.reset_index(drop=True), "the table", "")
            table, frame, notes = with_genotypes(self.fetched, given_table, genotypes, ids)
            predictions, score_notes = self.fetched.network.score(frame)
            if len(predictions) == len(people):
                predictions = predictions.set_axis(people.index)
        else:
            table, frame, notes = read_people(self.fetched, people, genotypes, ids)
            scored = score(self.fetched, table, frame)
            predictions, score_notes = scored.predictions, list(scored.notes)
        for note in (*notes, *score_notes):
            warnings.warn(note, stacklevel=2)
        return predictions


def load_model(model: str | None = None) -> KeptModel:
    """The champion of a study by its name, of the newest study (None), or the model of an MLflow
    address (`models:/lariat-group_lasso@champion`) or in a folder. Raises InputError."""
    return KeptModel(fetch_model(model))
