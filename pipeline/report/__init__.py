"""All that a person reads: the page, its figures, the terminal, Markdown, MLflow's views.

`summary` gathers what is said, `answer` and `flags` say it in sentences, `figures`, `heatmap` and
`interactive` draw, `tables` and `pictures` lay out, `page` writes the files, `summary_text` is
for terminal and Markdown, `variant_report` for genomes, `mlflow_views` for MLflow's list of runs.
Nothing is trained or decided here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
