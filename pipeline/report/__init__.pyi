from .heatmap import HeatMap as HeatMap
from .mlflow_views import TAG as TAG
from .mlflow_views import outcome_links as outcome_links
from .mlflow_views import views_of as views_of
from .place import report_folder as report_folder
from .summary import Summary as Summary
from .tables import solutions_table as solutions_table
