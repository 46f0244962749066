"""How often seeds end clinical only, genetic only or with both: encoder settings × λ × split.

The networks of a split train as populations in one process, genotypes computed once; test rows are
scored by nobody. Writes a CSV, a row a network; `docs/two-outcomes.md` has its table.

    python benchmarks/two_outcomes.py two_outcomes.csv --seeds 5 --splits 0 1 2
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.genetics import load_genotypes  # noqa: E402
from pipeline.inspection import solution_label  # noqa: E402
from pipeline.search_space import Sampling, load_search_space  # noqa: E402
from pipeline.study.people import People  # noqa: E402
from pipeline.study.populations import populations, train  # noqa: E402
from pipeline.study.replicates import Replicate  # noqa: E402
from pipeline.study.study_cohort import study_cohort  # noqa: E402

STUDY = """# Which encoder settings let both outcomes appear?
data: {data}
target: TenYearCHD
task: binary
categories: [education]
inputs: [clinical, genetic]
split: {{seed: {split}}}
sampler: grid
seeds: {seeds}
configurations: {cells}
space:
  regularizer: [group_lasso]
  lambda_group: {lambdas}
  genetic_weight_decay: {decays}
  genetic_learning_rate: {rates}
network: {{hidden_layer_sizes: [50], activation: relu, genetic_dimensions: 20}}
training: {{epochs: 60, batch_size: 128, learning_rate: 0.001, patience: 60}}
"""


def networks_of(split: int, options: argparse.Namespace, folder: Path) -> list[dict[str, object]]:
    cells = len(options.lambdas) * len(options.decays) * len(options.rates)
    file = folder / f"two_outcomes_{split}.yaml"
    file.write_text(
        STUDY.format(
            data=ROOT / "data" / "framingham.csv", split=split, seeds=options.seeds, cells=cells,
            lambdas=options.lambdas, decays=options.decays, rates=options.rates,
        )
    )  # fmt: skip
    space, cohort, _ = study_cohort(load_search_space(str(file), {}))
    genotypes = load_genotypes(None, cohort.outcome, cohort.split.train, folder)
    configurations = Sampling(space, {}).next({})  # a grid is drawn at once
    replicates = [Replicate(c, seed) for c in configurations for seed in space.seeds]
    people, rows = People(cohort, genotypes), []
    for population in populations(replicates, people, space.objective):
        start = time.monotonic()
        for replicate, result in zip(
            population.replicates, train(population, people, space.objective), strict=True
        ):
            training = replicate.configuration.training
            rows.append(
                {
                    "split": split,
                    "decay": training.genetic_weight_decay,
                    "rate": training.genetic_learning_rate,
                    "lambda_group": replicate.configuration.params["lambda_group"],
                    "seed": replicate.seed,
                    "ends": solution_label(result),
                    "best_epoch": result.metrics.get("best_epoch"),
                    "val_best": result.metrics.get("val_auroc"),
                    "val_last": result.metrics.get("final_val_auroc"),
                }
            )
        print(f"split {split}: {len(rows)} networks, {time.monotonic() - start:.0f} s", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--lambdas", type=float, nargs="+", default=[0.009, 0.010, 0.011])
    parser.add_argument("--decays", type=float, nargs="+", default=[0.0, 0.03, 0.1, 0.3])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.003, 0.01, 0.03])
    parser.add_argument("--folder", type=Path, default=Path(".lariat"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for split in options.splits:
        rows += networks_of(split, options, options.folder)
        pd.DataFrame(rows).to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
