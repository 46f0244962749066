"""Net benefits by the package dcurves, for tests/test_metrics.py: `decision_curve.csv`.

dcurves imports lifelines, which wants pandas below 3, so it does not stand in
requirements-test.txt. In an environment of its own:

    python -m venv oracle && oracle/bin/pip install dcurves==1.1.7
    oracle/bin/python tests/oracles/decision_curve.py
"""

from pathlib import Path

import numpy as np
import pandas as pd


def people() -> pd.DataFrame:
    """300 people: their outcome, and a risk that is too extreme."""
    rng = np.random.default_rng(11)
    z = rng.normal(-1.2, 1.1, 300)
    sick = (rng.random(300) < 1 / (1 + np.exp(-z))).astype(int)
    return pd.DataFrame({"sick": sick, "risk": 1 / (1 + np.exp(-1.6 * z))})


if __name__ == "__main__":
    from dcurves import dca

    table = dca(
        data=people(), outcome="sick", modelnames=["risk"], thresholds=np.arange(0.05, 0.96, 0.05)
    )
    columns = ["model", "threshold", "net_benefit", "test_pos_rate", "tp_rate", "fp_rate"]
    kept = table[[c for c in columns if c in table]]
    kept.to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.10g")
