"""Synthetic studies whose solutions, best configuration and tipping point are planted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.results import Inputs, NetworkResult, StudyRecord, StudyResults

CLINICAL = (
    "male", "age", "currentSmoker", "cigsPerDay", "BPMeds", "prevalentStroke", "prevalentHyp",
    "diabetes", "totChol", "sysBP", "diaBP", "BMI", "heartRate", "glucose",
)  # fmt: skip
EDUCATION = ("education=1", "education=2", "education=3", "education=4", "education missing")
EPOCHS = 60


def clinical_inputs(extra: Sequence[str] = ()) -> Inputs:
    columns = (*CLINICAL[:2], *EDUCATION, *CLINICAL[2:], *extra)
    variables = tuple("education" if c in EDUCATION else c for c in columns)
    return Inputs(columns, variables, ("clinical",) * len(columns))


def genetic_inputs(dimensions: int = 20) -> Inputs:
    names = tuple(f"genetic_{i}" for i in range(dimensions))
    return Inputs(names, names, ("genetic",) * dimensions)


def layer(inputs: Inputs, keep: Sequence[str], units: int, seed: int) -> np.ndarray:
    """(p, units) weights; exactly 0.0 in every column of a variable that is not in `keep`."""
    rng = np.random.default_rng([seed, units])
    scale = rng.exponential(0.1, size=(len(inputs.columns), 1))
    weights = rng.normal(size=(len(inputs.columns), units)) * scale
    return weights * np.array([v in keep for v in inputs.variables])[:, None]


def _curve(start: int, end: int) -> np.ndarray:
    return np.round(np.linspace(start, end, EPOCHS)).astype(float)


def network(
    inputs: Inputs,
    configuration: int,
    seed: int,
    *,
    keep_best: Sequence[str],
    keep_last: Sequence[str],
    val: float,
    regularizer: str = "group_lasso",
    lambdas: Mapping[str, float] | None = None,
    units: int = 50,
    failure: str | None = None,
    kkt: float = 1e-4,
) -> NetworkResult:
    params = {
        "regularizer": regularizer, "lambda_l1": 0.0, "lambda_l2": 0.0, "lambda_group": 0.0,
        "inputs": "+".join(dict.fromkeys(inputs.families)), "seed": seed,
        "configuration": configuration, **(lambdas or {}),
    }  # fmt: skip
    if failure:
        return NetworkResult(params, inputs, failure=failure)
    metrics: dict[str, float] = {"best_epoch": 15, "final_epoch": EPOCHS, "kkt_residual": kkt}
    for split, shift in (("val", 0.0), ("test", 0.02), ("train", 0.05)):
        for prefix, drop in (("", 0.0), ("final_", 0.01)):
            metrics[f"{prefix}{split}_auroc"] = val + shift - drop
            metrics[f"{prefix}{split}_average_precision"] = val - 0.4 + shift - drop
            metrics[f"{prefix}{split}_accuracy"] = 0.85 + shift / 10
    curves = {"val_auroc": val - 0.1 * np.exp(-np.arange(EPOCHS) / 5)}
    for prefix, keep in (("", keep_best), ("final_", keep_last)):
        for family in dict.fromkeys(inputs.families):
            own = {v for v, f in inputs.family_of.items() if f == family}
            metrics[f"{prefix}zeroed_{family}"] = len(own - set(keep))
            curves[f"kept_{family}"] = _curve(len(own), len(own & set(keep)))
        metrics[f"{prefix}zeroed_variables"] = len(set(inputs.variables) - set(keep))
    # Resamples scatter by 0.02 around the metric; seeds share nine tenths of that variance.
    shared, own = (np.random.default_rng(s).normal(size=200) for s in (7, 1000 + seed))
    scatter = 0.02 * (np.sqrt(0.9) * shared + np.sqrt(0.1) * own)
    lost = [v for v in inputs.variable_names if v not in keep_last]
    return NetworkResult(
        params, inputs, metrics, curves,
        layer(inputs, keep_best, units, seed), layer(inputs, keep_last, units, seed),
        died={v: 20 + i + seed % 3 for i, v in enumerate(lost)},
        resamples={"best": val + 0.02 + scatter, "last": val + 0.01 + scatter},
    )  # fmt: skip


def record(**changes: object) -> StudyRecord:
    fields = {
        "study": "group_lasso", "study_id": "0f1e2d",
        "question": "Does group lasso drop the genetic or the clinical block, and who decides?",
        "target": "TenYearCHD", "objective": "val_auroc", "maximize": True,
        "genotypes": "simulated",
        "settings": {
            "space": {"regularizer": ["group_lasso"],
                      "lambda_group": {"low": 0.001, "high": 0.03, "log": True}},
            "training": {"epochs": EPOCHS, "batch_size": 128},
        },
        "facts": {"train_rows": 2544, "val_rows": 848, "test_rows": 848, "data_sha256": "ab" * 32},
        "command": "mlflow run . -P study=group_lasso",
    }  # fmt: skip
    return StudyRecord(**(fields | changes))


def group_lasso_study(seeds: int = 10, units: int = 50) -> StudyResults:
    """Planted: c1 is best, by its mean; c2 is the tipping point (6 clinical only, 4 genetic only).

    c0 (λ 0.002) keeps some of both; c1 (0.005) keeps age, male, sysBP and, in half of the seeds,
    education; c2 (0.0075); c3 (0.02) keeps age alone, and its seed 0 has the luckiest score of all.
    """
    inputs = clinical_inputs() + genetic_inputs()
    few = ("age", "male", "sysBP")
    networks = []
    for s in range(seeds):
        wobble = 0.002 * (s - (seeds - 1) / 2)
        many = (*CLINICAL, "genetic_1", f"genetic_{2 + s}")
        one = (*few, "education") if s % 2 else few
        torn = few if s % 5 < 3 else ("genetic_3",)
        lucky = 0.80 if s == 0 else 0.60
        rows = ((0.002, many, many, 0.66), (0.005, one, one, 0.70), (0.0075, many, torn, 0.65),
                (0.02, few, ("age",), lucky))  # fmt: skip
        for c, (lam, best, last, val) in enumerate(rows):
            networks.append(network(
                inputs, c, s, keep_best=best, keep_last=last, val=val + wobble, units=units,
                lambdas={"lambda_group": lam},
            ))  # fmt: skip
    return StudyResults(record(), tuple(networks))


def case_study(seeds: int = 6) -> StudyResults:
    """All regularizers on both inputs and on the clinical alone, with the group lasso study."""
    both, clinical = clinical_inputs() + genetic_inputs(), clinical_inputs()
    networks = list(group_lasso_study(seeds).networks)
    number = 4
    for inputs, base in ((both, 0.68), (clinical, 0.69)):
        everything = inputs.variable_names
        for regularizer, name, keep in (
            ("none", None, everything), ("l1", "lambda_l1", ("age", "male", "sysBP", "genetic_4")),
            ("l2", "lambda_l2", everything), ("elastic_net", "lambda_l1", ("age", "glucose")),
        ):  # fmt: skip
            for i, lam in enumerate((0.001, 0.004, 0.016) if name else (0.0,)):
                lambdas = {name: lam} if name else {}
                if regularizer == "elastic_net":
                    lambdas["lambda_l2"] = 0.01
                own = everything if keep == everything else (*keep, *everything[: 6 - 3 * i])
                for s in range(seeds):
                    networks.append(network(
                        inputs, number, s, keep_best=own, keep_last=own, regularizer=regularizer,
                        val=base - 0.01 * abs(i - 1) + 0.001 * s, lambdas=lambdas,
                        failure="the loss was not finite at epoch 3" if s == 5 and i == 2 else None,
                        kkt=5e-3 if s == 4 else 1e-4,
                    ))  # fmt: skip
                number += 1
    space = {"lambda_l1": {"low": 0.001, "high": 0.016, "log": True}}
    return StudyResults(record(study="framingham", settings={"space": space}), tuple(networks))


OTHER_LAMBDAS = (0.02, 0.01, 0.005, 0.002)
STEADY = ("age", "sysBP")


def other_people_study(
    seeds: int = 5, resamples: int = 40, kind: str = "subsample", units: int = 4
) -> StudyResults:
    """Planted: four λ of a group lasso on clinical variables, on the table and on resamples.

    From λ 0.01 on age and sysBP are kept by everyone. male is kept on every second pair of
    subsamples, whatever the seed; diabetes by every second seed, whoever was drawn; any other by
    chance, at λ 0.002 by most.
    """
    inputs, networks = clinical_inputs(), []
    others = [v for v in inputs.variable_names if v not in (*STEADY, "male", "diabetes")]
    for c, strength in enumerate(OTHER_LAMBDAS):
        for s in range(seeds):
            for r in (None, *range(resamples)):
                rng = np.random.default_rng([c, s, 0 if r is None else r + 1])
                chance = (0.0, 0.02, 0.04, 0.8)[c]
                keep = [v for v in others if rng.random() < chance]
                keep += STEADY if c else STEADY[:1]
                keep += ["male"] * (c > 0 and (r or 0) // 2 % 2 == 0)
                keep += ["diabetes"] * (c > 1 and s % 2 == 0)
                drawn = {} if r is None else {"resample": r}
                val = 0.70 - 0.01 * abs(c - 2) + 0.001 * rng.normal()
                networks.append(network(
                    inputs, c, s, keep_best=keep, keep_last=keep, val=val, units=units,
                    lambdas={"lambda_group": strength, **drawn},
                ))  # fmt: skip
    settings = {
        "space": {"regularizer": ["group_lasso"], "lambda_group": list(OTHER_LAMBDAS)},
        "resamples": {"kind": kind, "fraction": 0.5, "count": resamples, "seed": 0},
    }
    question = "Would other people have given the same answer?"
    return StudyResults(
        record(study="other_people", question=question, genotypes="none", settings=settings),
        tuple(networks),
    )
