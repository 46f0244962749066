import base64
import dataclasses
import hashlib
import io
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from planted_study import (
    case_study,
    clinical_inputs,
    genetic_inputs,
    group_lasso_study,
    network,
    record,
)
from rich.console import Console

from pipeline.inspection.solutions import family_kept, solution_label
from pipeline.report import outcome_links
from pipeline.report import page as report
from pipeline.report.page import (
    OWN_PICTURE,
    build_report,
    compare_studies,
    markdown_summary,
    terminal_summary,
)
from pipeline.report.pictures import _solution_shares
from pipeline.report.summary import summarize
from pipeline.results import Inputs, NetworkResult, StudyResults

HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Tags, addresses and visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "action")]
        self.handlers += [k for k, _ in attrs if k.startswith("on")]

    def handle_data(self, data):
        self.text += data


def terminal(results: StudyResults, width: int = 160) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(terminal_summary(results))
    return stream.getvalue()


def squeezed(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    study = case_study()
    return study, build_report(study, folder), folder


def test_the_page_is_self_contained(case):
    _, _, folder = case
    html = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert len(html.encode()) < 5_000_000
    assert page.tags.count("img") >= 8
    assert all(a.startswith("data:image/png;base64,") for a in page.addresses)
    assert not {"link", "iframe", "object", "base"} & set(page.tags)
    assert not page.handlers
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)[1]
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == page.tags.count("script") == 3
    for script in scripts:  # the policy runs these and no other
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'") and "unsafe-eval" not in policy
    assert "unsafe" not in policy.partition("script-src")[2]
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    assert "@import" not in style and "url(" not in style


def test_figures_and_tables_lie_beside_and_nothing_else(case):
    _, _, folder = case
    names = {p.name for p in folder.iterdir()}
    tables = {"results", "configurations", "networks", "solutions", "selection_frequencies"}
    assert {f"{t}.csv" for t in tables} | {"report.html", "panels.png", "pareto.png"} <= names
    documents = {"tripod_ai.md", "model_card.md"}
    assert all(n.endswith((".csv", ".png", ".html")) for n in names - documents)
    assert documents <= names


def test_csv_html_markdown_and_terminal_carry_the_same_numbers(case):
    study, _, folder = case
    table = pd.read_csv(folder / "results.csv")
    html = Page((folder / "report.html").read_text(encoding="utf-8")).text
    markdown, plain = markdown_summary(study), terminal(study, 300)
    assert len(table) == 11  # 9 best rows, and both outcomes of the seed-dependent configuration
    assert table["outcome"].dropna().tolist() == ["(1): clinical only", "(2): genetic only"]
    for _, row in table.iterrows():
        for metric in ("auroc", "average_precision", "accuracy"):
            number = f"{row[f'test_{metric}_mean']:.3f} ± {row[f'test_{metric}_sd']:.3f}"
            assert number in html and number in markdown and number in plain


def test_solutions_are_the_same_in_csv_and_html(case):
    _, summary, folder = case
    table = pd.read_csv(folder / "solutions.csv")
    torn = table[(table["configuration"] == summary.tipping) & (table["epoch"] == "last")]
    assert torn["solution"].tolist() == ["1: clinical only", "2: genetic only"]
    assert torn["seeds"].tolist() == ["4 of 6", "2 of 6"]
    html = Page((folder / "report.html").read_text(encoding="utf-8")).text
    assert all(cell in html for cell in (*torn["solution"], *torn["seeds"]))
    scores = [*torn["test AUROC, best → last epoch"], *torn.filter(like="95 % interval").iloc[:, 0]]
    assert len(scores) == 4 and all(s in html and "nan" not in s for s in scores)


def test_panels_run_from_a_to_f_over_all_regularizers_and_solutions(case):
    _, summary, _ = case
    shown = report.chosen_panels(summary)
    assert [(panel.letter, panel.title.partition(" · ")[0]) for panel in shown] == [
        ("A", "none"), ("B", "L1"), ("C", "L2"), ("D", "elastic net"),
        ("E", "group lasso (1): clinical only"), ("F", "group lasso (2): genetic only"),
    ]  # fmt: skip
    assert all("last epoch 60" in panel.title for panel in shown[4:])


def test_outcomes_are_linked_to_the_runs_of_their_representatives():
    study = group_lasso_study()
    networks = tuple(dataclasses.replace(n, run_id=f"run-{n.name}") for n in study.networks)
    said = outcome_links(summarize(StudyResults(study.record, networks)), "7")
    assert said.startswith("Outcomes of group\\_lasso c2: (1) clinical only, 6 of 10 seeds: [group")
    assert "(2) genetic only, 4 of 10 seeds: [group" in said
    assert said.count("](#/experiments/7/runs/run-group_lasso c2 s") == 2
    assert outcome_links(summarize(study), "7") == ""  # no runs, no links


def test_simulated_is_said_everywhere_and_only_when_it_is_so(case):
    study, _, folder = case
    texts = [(folder / "report.html").read_text(encoding="utf-8"), markdown_summary(study)]
    assert all("simulated" in t for t in (*texts, terminal(study)))
    real = dataclasses.replace(study, record=dataclasses.replace(study.record, genotypes="x/plink"))
    assert "simulated" not in markdown_summary(real) + terminal(real)


def hostile_study() -> StudyResults:
    names = (HOSTILE, "[bold]x[/bold]", "[link=https://evil.example]y", "a|b`c*", "$x^2$", "=1+1")
    inputs = clinical_inputs(names) + genetic_inputs(2)
    nets = [
        network(inputs, 0, s, keep_best=names, keep_last=names[: 5 + s % 2], val=0.6 + s / 100,
                units=4)
        for s in range(3)
    ]  # fmt: skip
    nets.append(network(inputs, 0, 3, keep_best=(), keep_last=(), val=0, failure=HOSTILE))
    return StudyResults(record(question=HOSTILE, target=HOSTILE, command=HOSTILE), tuple(nets))


def test_hostile_names_are_shown_and_not_run(tmp_path):
    study = hostile_study()
    build_report(study, tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert html.count("<script") == page.tags.count("script") == 3 and HOSTILE not in html
    assert page.text.count(HOSTILE) >= 4
    markdown = markdown_summary(study)
    assert "<script" not in markdown and "&lt;script&gt;" in markdown
    assert "https://" not in markdown and "a|b" not in markdown
    shown = squeezed(terminal(study, 400))
    assert HOSTILE in shown and "[bold]x[/bold]" in shown


def empty() -> tuple[NetworkResult, ...]:
    return ()


def all_failed() -> tuple[NetworkResult, ...]:
    inputs = clinical_inputs()
    return tuple(
        network(inputs, 0, s, keep_best=(), keep_last=(), val=0, failure="diverged")
        for s in range(3)
    )


def one_network() -> tuple[NetworkResult, ...]:
    inputs = clinical_inputs()
    return (network(inputs, 0, 0, keep_best=("age",), keep_last=("age",), val=0.7, units=1),)


def no_weights_no_curves() -> tuple[NetworkResult, ...]:
    nets = group_lasso_study(3).networks
    return tuple(NetworkResult(n.params, n.inputs, n.metrics) for n in nets)


def nothing_known() -> tuple[NetworkResult, ...]:
    return tuple(NetworkResult(n.params, n.inputs) for n in group_lasso_study(2).networks)


def ragged() -> tuple[NetworkResult, ...]:
    return group_lasso_study(6, units=3).networks[:-5]


@pytest.mark.parametrize(
    "networks", [empty, all_failed, one_network, no_weights_no_curves, nothing_known, ragged]
)
def test_partial_studies_are_reported_as_far_as_they_go(networks, tmp_path):
    study = StudyResults(record(settings={}), networks())
    summary = build_report(study, tmp_path / "new" / "folder")
    html = Page((tmp_path / "new" / "folder" / "report.html").read_text(encoding="utf-8")).text
    said = markdown_summary(study) + terminal(study) + html
    assert not {"nan", "nan%", "inf", "None,"} & set(said.split())
    if networks in (empty, all_failed, nothing_known):
        assert summary.best is None and "there is no answer yet" in said
    if networks is one_network:
        assert "0.720 ± –" in html and "single seed" in html


def test_the_markdown_fits_into_a_tag_whatever_the_study():
    inputs = clinical_inputs([f"a rather long variable name {i}" for i in range(60)])
    nets = [
        network(inputs, c, s, keep_best=inputs.variable_names, val=0.6 + c / 1e3, units=2,
                keep_last=inputs.variable_names[: 5 + s], regularizer=f"regularizer_{c}")
        for c in range(40)
        for s in range(3)
    ]  # fmt: skip
    text = markdown_summary(StudyResults(record(), tuple(nets)))
    assert len(text) < 7000 and text.endswith("more in the report.")


def test_a_failing_report_leaves_the_old_one_whole(tmp_path, monkeypatch):
    study = group_lasso_study(2, units=3)
    build_report(study, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def broken(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", broken)
    with pytest.raises(OSError, match="disk full"):
        build_report(study, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_the_best_configurations_metrics_are_there_for_mlflow(case):
    _, summary, _ = case
    assert summary.best_metrics["best_val_auroc_mean"] == pytest.approx(0.70)
    assert summary.best_metrics["best_test_auroc_sd"] == pytest.approx(0.00374, abs=1e-5)


def test_the_report_needs_none_of_the_searchs_libraries():
    code = (
        "import sys, pipeline.report.page; "
        "print({'tensorflow', 'mlflow', 'optuna', 'matplotlib.pyplot'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_a_later_comparison_leaves_none_of_the_earlier_ones_pictures(tmp_path):
    study = group_lasso_study(3)
    other = replace(study, record=record(study="another.study"))
    (tmp_path / "my_panels.png").write_bytes(b"mine")
    compare_studies([study, other], tmp_path)
    first = {path.name for path in tmp_path.glob("*.png")}
    assert any(name.startswith("2_another.study_") for name in first)
    build_report(study, tmp_path)
    left = {path.name for path in tmp_path.glob("*.png")} - {"my_panels.png"}
    assert left and not any(name[0].isdigit() for name in left)
    compare_studies([other, study], tmp_path)
    names = {path.name for path in tmp_path.glob("*.png")}
    assert not any(name.startswith("2_another.study_") for name in names)
    assert (tmp_path / "my_panels.png").read_bytes() == b"mine"
    for name in names - {"my_panels.png"}:  # whatever a report writes, the next one can remove
        assert OWN_PICTURE.fullmatch(name)


def test_a_variable_called_other_is_not_all_other_solutions():
    names = ("other", *(f"v{i}" for i in range(12)))
    inputs = Inputs(names, names, ("clinical",) * 13)
    networks = [
        network(inputs, 0, seed, keep_best=names, keep_last=[name], val=0.7)
        for seed, name in enumerate(["other", "other", *names[1:10]])
    ]
    summary = summarize(StudyResults(record(), tuple(networks)))
    shares = _solution_shares(summary, [0])
    assert shares.loc[0, "other"] == pytest.approx(2 / 11)
    assert shares.columns[-1] == "4 other solutions"
    assert shares.loc[0].sum() == pytest.approx(1) and shares.columns.is_unique


def test_large_numbers_have_separators_in_what_a_solution_is_called():
    names = tuple(f"v{i}" for i in range(20_000))
    inputs = Inputs(names, names, ("clinical",) * 20_000)
    few = network(inputs, 0, 0, keep_best=names, keep_last=names[:1_234], val=0.7, units=2)
    assert solution_label(few) == "1,234 of 20,000 clinical"
    assert solution_label(few, "best") == "all 20,000 clinical"
    assert "1,234 of 20,000 clinical kept" in family_kept([few], "last")[0].text
