"""Our path from dense to sparse against LassoNet's: time a model, and test AUROC at every size.

Both are given the same training and validation rows of the Framingham table and 50 hidden units,
and otherwise keep their defaults. LassoNet (Lemhadri, Ruan, Abraham and Tibshirani 2021) walks one
path a seed, one after another, with as many threads as there are cores; ours walks all seeds at
once. Neither's first run, which compiles or loads, is counted.

They are compared twice: with the variables as groups of columns, and with every column as a
variable of its own. LassoNet weighs a group alike however many columns it has, so that its groups
of several columns outlive those of one that say more (here education is the last), and its groups
are a loop in Python; single columns are its better side in both.

Of each seed, the model with the best *validation* AUROC at every number of variables kept is the
one that is tested. Two readings of "at a number of variables": models that keep exactly so many
(where a seed has one), and models that keep at most so many (every seed has one).

    no lower:  mean(ours) ≥ mean(LassoNet) − √(SE(ours)² + SE(LassoNet)²)    over the seeds

Needs `pip install -r benchmarks/requirements.txt` beside the project's own.
"""

from __future__ import annotations

import os
import time

import numpy as np
import pandas as pd
from measure import HERE, Figure, as_markdown, clinical_data, write

SEEDS, UNITS, AIM = 5, 50, 5
METRIC = "auroc"
OURS, THEIRS = "lambda_path", "LassoNet"
COLORS = {OURS: "#0072B2", THEIRS: "#D55E00"}


def parts():
    """(X, y) of training, validation and test rows, and the variable of every column."""
    data = clinical_data()
    ends = np.cumsum(data.rows)[:-1]
    columns = np.split(data.columns, ends)
    return list(zip(columns, np.split(data.target, ends))), data.group_index


def ours(rows, index) -> tuple[pd.DataFrame, float]:
    """A row a model (seed, kept, validation, test), and the seconds of the path of all seeds."""
    from pipeline import lambda_path

    train, validation, test = rows

    def path(**parameters):
        return lambda_path(
            *train,
            groups=index,
            hidden_layer_sizes=(UNITS,),
            validation_data=validation,
            validation_metric=METRIC,
            test_data=test,
            seeds=SEEDS,
            **parameters,
        )

    path(n_lambdas=2, epochs=1)  # compiles
    started = time.perf_counter()
    networks = path().networks
    seconds = time.perf_counter() - started
    names = {"score": "validation", "test_score": "test"}
    return networks.rename(columns=names)[["seed", "kept", "validation", "test"]], seconds


def lassonet(rows, index) -> tuple[pd.DataFrame, float]:
    """The same of LassoNet's own path, seed after seed; scoring is not in the seconds."""
    from lassonet import LassoNetClassifier

    train, validation, test = rows
    groups = [np.flatnonzero(index == variable).tolist() for variable in np.unique(index)]
    if len(groups) == len(index):
        groups = None  # all columns at once, not in a loop
    LassoNetClassifier(hidden_dims=(UNITS,), n_iters=1, verbose=0).path(*train, lambda_seq=[])
    models, seconds = [], 0.0
    for seed in range(SEEDS):
        model = LassoNetClassifier(
            hidden_dims=(UNITS,), groups=groups, random_state=seed, torch_seed=seed, verbose=0
        )
        started = time.perf_counter()
        path = model.path(*train, X_val=validation[0], y_val=validation[1], return_state_dicts=True)
        seconds += time.perf_counter() - started
        for item in path:
            kept = len(np.unique(index[item.selected.numpy()]))
            model.load(item.state_dict)
            models.append((seed, kept, auroc(model, *validation), auroc(model, *test)))
    return pd.DataFrame(models, columns=["seed", "kept", "validation", "test"]), seconds


def auroc(model, columns, outcome) -> float:
    from sklearn.metrics import roc_auc_score

    # Rounding hides float32's last bits, which tell rows apart where no variable is left.
    return roc_auc_score(outcome, model.predict_proba(columns)[:, 1].round(6))


def tested(models: pd.DataFrame, at_most: bool) -> pd.DataFrame:
    """For every number of variables: mean, se and seeds of the test AUROC of the model that each
    seed's validation AUROC chooses."""
    ordered = models.sort_values("validation", ascending=False, kind="stable")
    chosen = []
    for kept in range(models["kept"].max() + 1):
        allowed = ordered["kept"] <= kept if at_most else ordered["kept"] == kept
        best = ordered[allowed].drop_duplicates("seed")["test"]
        chosen.append((kept, best.mean(), best.sem() if len(best) > 1 else 0.0, len(best)))
    return pd.DataFrame(chosen, columns=["kept", "mean", "se", "seeds"]).set_index("kept")


def compared(setting: str, models: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, list[str]]:
    """Test AUROC of both at every size, and the sizes where ours is lower."""
    table: dict = {}
    failed = []
    for reading, at_most in (("exactly", False), ("at most", True)):
        each = {name: tested(path_models, at_most) for name, path_models in models.items()}
        mine, theirs = each[OURS].align(each[THEIRS])
        margin = mine["mean"] - theirs["mean"] + np.hypot(mine["se"], theirs["se"])
        table = {setting: margin.index} | table
        for name, scores in ((OURS, mine), (THEIRS, theirs)):
            table[f"{name}, {reading}"] = [shown(*row) for row in scores.to_numpy()]
        verdict = np.where(margin >= 0, "yes", "**no**")
        table[f"no lower, {reading}"] = np.where(margin.notna(), verdict, "–")
        failed += [f"{reading} {kept} {setting}" for kept in margin.index[margin < 0]]
    return pd.DataFrame(table), failed


def shown(mean: float, se: float, seeds: float) -> str:
    if not seeds > 0:
        return "–"
    return f"{mean:.4f} ± {se:.4f}" + ("" if seeds == SEEDS else f" ({seeds:.0f} of {SEEDS} seeds)")


def plot(settings: dict[str, dict[str, pd.DataFrame]]) -> None:
    from matplotlib import figure as drawing

    figure = drawing.Figure(figsize=(10, 3.4 * len(settings)), layout="constrained")
    grid = figure.subplots(len(settings), 2, sharey=True)
    for (setting, models), row in zip(settings.items(), grid):
        for axes, at_most, what in zip(row, (False, True), ("exactly", "at most")):
            for name, path_models in models.items():
                scores = tested(path_models, at_most).dropna()
                marks = {"fmt": "o-", "markersize": 4, "capsize": 3, "color": COLORS[name]}
                axes.errorbar(scores.index, scores["mean"], scores["se"], label=name, **marks)
            axes.set(
                xlabel=f"{setting} kept, {what}", xticks=range(0, path_models["kept"].max() + 1, 2)
            )
            axes.grid(alpha=0.3)
        row[0].set_ylabel("test AUROC, mean over seeds")
    grid[0][0].legend(loc="lower right")
    figure.savefig(HERE / "lassonet_path.png", dpi=110)


def timed(taken: dict[str, dict[str, tuple[pd.DataFrame, float]]]) -> pd.DataFrame:
    """Models, seconds and milliseconds a model of all seeds' paths, and the ratio to ours."""
    rows = []
    for setting, sides in taken.items():
        each = {name: seconds / len(models) for name, (models, seconds) in sides.items()}
        for name, (models, seconds) in sides.items():
            ratio = f"{each[name] / each[OURS]:.1f}"
            one = f"{1_000 * each[name]:.1f}"
            rows.append((setting, name, len(models), f"{seconds:.1f}", one, ratio))
    columns = ["compared by", "path", "models", "seconds", "milliseconds a model", "ratio"]
    return pd.DataFrame(rows, columns=columns)


def words(rows, index, taken, tables) -> str:
    """What was measured, the times, and the tables but the last."""
    cores = len(os.sched_getaffinity(0))
    text = (
        f"{len(rows[0][0]):,} rows × {len(index)} columns ({len(np.unique(index))} variables), "
        f"{UNITS} units, {SEEDS} seeds, {cores} {'core' if cores == 1 else 'cores'} for each. "
        "LassoNet comes by `pip install -r benchmarks/requirements.txt`; it weighs a group alike "
        "however many columns it has, so that single columns are its better side. The aim is "
        f"{AIM} times less time a model.\n\n{as_markdown(timed(taken))}\n\n"
        "Test AUROC, mean ± standard error over the seeds, of the model that the validation rows "
        "choose among those that keep exactly, or at most, so many. The aim is no lower than "
        "LassoNet's by more than the standard error of the difference.\n\n"
        "![Test AUROC against variables kept](lassonet_path.png)"
    )
    for table, failed in tables:
        text += f"\n\n{lower(failed)}\n\n{as_markdown(table)}"
    return text.removesuffix(as_markdown(tables[-1][0])).rstrip()


def lower(failed: list[str]) -> str:
    return f"Lower at {', '.join(failed)}:" if failed else "No lower at any number:"


def figures(taken, tables) -> list[Figure]:
    """Times and AUROCs beside what was asked."""
    found = []
    for setting, sides in taken.items():
        ours_each, theirs_each = (sides[n][1] / len(sides[n][0]) for n in (OURS, THEIRS))
        what = f"time of a LassoNet model over ours, {setting}"
        found.append(Figure(what, theirs_each / ours_each, AIM, at_least=True))
    failed = [where for _, of_setting in tables for where in of_setting]
    what = "numbers of variables or columns kept at which LassoNet's AUROC is higher"
    found.append(Figure(what, len(failed), 0, because=lower(failed).rstrip(":").lower()))
    return found


def main() -> None:
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    rows, index = parts()
    settings = {"variables": index, "columns": np.arange(len(index))}
    theirs = {setting: lassonet(rows, groups) for setting, groups in settings.items()}
    taken = {
        setting: {OURS: ours(rows, groups), THEIRS: theirs[setting]}
        for setting, groups in settings.items()
    }
    models = {
        setting: {name: path_models for name, (path_models, _) in sides.items()}
        for setting, sides in taken.items()
    }
    tables = [compared(setting, sides) for setting, sides in models.items()]
    plot(models)
    write(
        "Paths from dense to sparse against LassoNet",
        "lassonet_path.py",
        words(rows, index, taken, tables),
        tables[-1][0],
        figures(taken, tables),
    )


if __name__ == "__main__":
    main()
