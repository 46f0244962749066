"""A study file is read as a person means it, or refused in one sentence that says why."""

import json
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.search_space.space import Range
from pipeline.search_space.study_file import PROJECT, load_search_space
from pipeline.search_space.yaml12 import find_study

STUDY = """\
# Is lambda read?
# Seconds.

# This is no part of the question.
target: TenYearCHD
categories: [education]
space:
  regularizer: [l1]
  lambda_l1: {low: 1e-3, high: 1e-1, log: true}
"""
BUNDLED = sorted(path.stem for path in (PROJECT / "search_spaces").glob("*.yaml"))


@pytest.fixture
def study(tmp_path):
    """Writes a study file and loads it with the given parameters."""

    def load(text=STUDY, **overrides):
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return load_search_space(str(path), overrides)

    return load


@pytest.fixture
def refusal(study):
    """The sentence with which a study file is refused."""

    def refuse(text=STUDY, **overrides):
        with pytest.raises(InputError) as raised:
            study(text, **overrides)
        sentence = str(raised.value)
        assert "\n" not in sentence
        assert "pydantic" not in sentence
        return sentence

    return refuse


def with_space(lines, above=""):
    return f"target: y\n{above}\nspace:\n" + "".join(f"  {line}\n" for line in lines)


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_study_loads_and_opens_with_its_question(name):
    space = load_search_space(name)
    assert space.study == name
    assert "?" in space.question
    assert f"mlflow run . -P study={name}" in space.question
    assert space.data.is_file()
    json.dumps(space.settings(), allow_nan=False)


def test_the_seven_studies_of_the_design_are_bundled():
    singles = {"none", "l1", "l2", "elastic_net", "group_lasso", "sparse_group_lasso"}
    assert singles | {"framingham"} <= set(BUNDLED)
    assert load_search_space("group_lasso").space["lambda_group"] == Range(
        low=0.004, high=0.025, log=True
    )


def test_what_a_study_leaves_out_has_the_documented_defaults(study):
    space = study()
    assert space.space["inputs"] == (("clinical", "genetic"),)
    assert space.seeds == tuple(range(10))
    assert (space.configurations, space.sampler, space.objective) == (16, "qmc", "val_auroc")
    assert space.network.hidden_layer_sizes == (50,)
    assert space.training.patience == space.training.epochs == 60
    assert space.maximize


def test_the_objective_that_a_study_leaves_out_is_that_of_its_task(study):
    space = study()
    assert space.task == "auto"
    for task, objective in (
        ("binary", "val_auroc"),
        ("multiclass", "val_auroc"),
        ("regression", "val_r2"),
    ):
        assert space.for_task(task).objective == study(task=task).objective == objective
    given = study(objective="val_mean_squared_error").for_task("regression")
    assert (given.objective, given.maximize) == ("val_mean_squared_error", False)


def test_an_objective_of_another_task_is_refused_once_the_task_is_known(study):
    with pytest.raises(InputError, match=r"regression target must be one of val_r2, .* val_auroc"):
        study(objective="val_auroc").for_task("regression")


def test_what_the_sampler_is_told_may_be_more_than_the_metric_that_ranks(study):
    both = study(STUDY + "objective: [val_log_loss, kept_variables]\n")
    assert (both.objective, both.maximize) == ("val_log_loss", False)
    assert both.objectives == ("val_log_loss", "kept_variables")
    assert both.maximized == (False, False)
    torn = study(STUDY + "objective: solution_entropy\n")
    assert (torn.objective, torn.maximize) == ("val_auroc", True)
    assert (torn.objectives, torn.maximized) == (("solution_entropy",), (True,))
    assert torn.for_task("regression").objective == "val_r2"
    identities = {json.dumps(s.identity()["objective"]) for s in (both, torn, study())}
    assert len(identities) == 3


def test_one_seed_cannot_disagree_with_itself(study):
    with pytest.raises(InputError, match=r"`seeds` must be at least 2 where the objective is sol"):
        study(STUDY + "objective: solution_entropy\n", seeds=1)


def test_every_new_key_takes_part_in_the_identity(study):
    base = study().identity()
    assert study(task="binary").identity() == study().for_task("binary").identity() != base
    for line in (
        "groups: {lipids: [totChol]}",
        "unpenalized: [age]",
        "sample_weight: w",
        "network: {dropout: 0.1}",
        "training: {class_weight: balanced}",
        "training: {class_weight: {0: 1, 1: 5}}",
    ):
        identity = study(STUDY + line + "\n").identity()
        assert identity != base
        assert json.loads(json.dumps(identity)) == identity


def test_class_weights_may_be_searched_as_words(study):
    lines = (
        "regularizer: [none]",
        "class_weight: [none, balanced]",
        "dropout: {low: 0, high: 0.5}",
    )
    space = study(with_space(lines)).space
    assert space["class_weight"] == ("none", "balanced")
    assert space["dropout"] == Range(low=0, high=0.5)


def test_log_loss_is_minimized(study):
    assert not study(objective="val_log_loss").maximize


def test_the_question_is_the_first_comment_block(study):
    assert study().question == "Is lambda read?\nSeconds."


def test_numbers_with_an_exponent_are_numbers_and_no_is_a_word(study):
    space = study(STUDY + "drop: [no, on, 2024-01-01]\n")
    assert space.space["lambda_l1"].low == 0.001
    assert space.drop == ("no", "on", "2024-01-01")


def test_a_given_parameter_wins_and_text_is_read_as_in_yaml(study):
    space = study(epochs="5", configurations="3", seeds="4,7", learning_rate="1e-2", target="2020")
    assert (space.training.epochs, space.training.patience) == (5, 5)
    assert (space.configurations, space.seeds, space.target) == (3, (4, 7), "2020")
    assert space.training.learning_rate == 0.01


def test_parameters_that_are_empty_are_not_given(study):
    assert study(configurations="", target=None).configurations == 16


def test_a_parameter_that_is_searched_becomes_a_constant():
    space = load_search_space("framingham", {"inputs": "clinical"})
    assert space.space["inputs"] == (("clinical",),)
    assert space.cross == ("regularizer",)


def test_without_genotypes_the_genetic_family_is_gone(study):
    space = study(genotypes="none")
    assert space.space["inputs"] == (("clinical",),)
    assert space.warnings == ()


def test_inputs_lost_without_genotypes_are_named_in_a_warning():
    space = load_search_space("framingham", {"genotypes": "none"})
    assert space.space["inputs"] == (("clinical",),)
    assert space.warnings == (
        "without genotypes the study leaves out the inputs genetic, clinical + genetic",
    )


def test_families_of_the_user_stand_between_clinical_and_genetic(study):
    text = STUDY + "families: {lipids: [totChol]}\n"
    assert study(text).space["inputs"] == (("clinical", "lipids", "genetic"),)
    assert study(text, inputs="genetic+lipids").inputs == ("lipids", "genetic")


def test_a_replaced_table_is_told_apart_from_the_studys_own(study):
    assert not study().data_replaced
    assert study(data="other.csv").data_replaced


def test_a_constant_and_a_range_of_one_value_are_single_choices(study):
    lines = ("regularizer: elastic_net", "lambda_l1: 0.5", "lambda_l2: {low: 1, high: 1}")
    space = study(with_space(lines)).space
    assert space["lambda_l1"] == (0.5,)
    assert space["lambda_l2"] == (1.0,)


def test_identity_is_what_decides_results_and_nothing_else(study):
    base = study().identity()
    same = study(configurations=99, seeds=3, scheduler="tcp://here:8786", data="elsewhere.csv")
    assert same.identity() == base
    assert study("# Another question?\n" + STUDY.split("\n\n")[1]).identity() == base
    for change in ({"epochs": 5}, {"target": "age"}, {"sampler": "tpe"}, {"genotypes": "none"}):
        assert study(**change).identity() != base
    assert json.loads(json.dumps(base)) == base


def test_searched_epochs_leave_patience_to_each_configuration(study):
    assert study(with_space(("regularizer: [none]", "epochs: [5, 9]"))).training.patience is None


L1 = "regularizer: [l1]"
REFUSED = {
    "an unknown key": (STUDY + "sampeler: qmc\n", ["`sampeler`", "did you mean `sampler`?"]),
    "an unknown nested key": (
        STUDY + "training: {epoch: 5}\n",
        ["`training.epoch`", "did you mean `epochs`?"],
    ),
    "a key in the wrong section": (
        STUDY + "epochs: 5\n",
        ["`epochs` must stand under `training:`", "at the top"],
    ),
    "a missing target": ("space: {regularizer: [none]}", ["`target` is missing", "column"]),
    "a missing space": ("target: y", ["`space` is missing", "mapping"]),
    "text for a number": (
        STUDY + "training: {epochs: many}\n",
        ["`training.epochs` must be a whole number of at least 1", "'many'"],
    ),
    "a fraction of a configuration": (
        STUDY + "configurations: 1.5\n",
        ["`configurations` must be a whole number of at least 1", "1.5"],
    ),
    "true for a number": (STUDY + "configurations: true\n", ["`configurations`", "True"]),
    "text for a list": (STUDY + "drop: age\n", ["`drop` must be a list", "'age'"]),
    "a number for a name": (STUDY + "drop: [5]\n", ["`drop` must be a list", "5"]),
    "a list for a section": (STUDY + "network: [50]\n", ["`network` must be a mapping", "[50]"]),
    "nothing where a value belongs": (STUDY + "sampler:\n", ["`sampler`", "qmc, tpe", "nothing"]),
    "an unknown objective": (STUDY + "objective: auc\n", ["`objective`", "val_auroc", "'auc'"]),
    "no seeds": (STUDY + "seeds: 0\n", ["`seeds` must be how many seeds", "got 0"]),
    "the same seed twice": (STUDY + "seeds: [1, 1]\n", ["`seeds`", "different seeds", "[1, 1]"]),
    "splits of everything": (
        STUDY + "split: {validation_fraction: 0.5, test_fraction: 0.5}\n",
        ["`split` must be such that validation_fraction + test_fraction < 1", "1.0"],
    ),
    "a dropped target": (STUDY + "drop: [TenYearCHD]\n", ["`drop` must be without the target"]),
    "an unknown family": (
        STUDY + "inputs: [clinicla]\n",
        ["`inputs`", "clinical, genetic", "'clinicla'", "did you mean `clinical`?"],
    ),
    "genetic alone without genotypes": (
        STUDY + "inputs: [genetic]\ngenotypes: none\n",
        ["`genotypes` must be simulated or a fileset", "'none'"],
    ),
    "a misspelt simulated": (
        STUDY + "genotypes: simulatd\n",
        ["`genotypes`", "simulated, none", "'simulatd'", "did you mean `simulated`?"],
    ),
    "a column in two families": (
        STUDY + "families: {a: [age], b: [age]}\n",
        ["`families`", "each column is in one", "'age' in two families"],
    ),
    "an unknown task": (STUDY + "task: ranking\n", ["`task` must be auto, binary", "'ranking'"]),
    "an objective beside one that is no second": (
        STUDY + "objective: [val_auroc, val_accuracy]\n",
        ["`objective`", "kept_variables"],
    ),
    "an objective of another task": (
        STUDY + "task: regression\nobjective: val_auroc\n",
        ["objective of a regression target", "val_r2, val_mean_squared_error", "got val_auroc"],
    ),
    "an unpenalized target": (
        STUDY + "unpenalized: [TenYearCHD]\n",
        ["`unpenalized` must be without the target"],
    ),
    "the target as a weight": (
        STUDY + "sample_weight: TenYearCHD\n",
        ["`sample_weight` must be another column than the target"],
    ),
    "a column in two groups": (
        STUDY + "groups: {a: [age], b: [age]}\n",
        ["`groups`", "each column is in one", "'age' in two groups"],
    ),
    "an empty group": (STUDY + "groups: {a: []}\n", ["`groups`", "at least one column"]),
    "the target in a group": (STUDY + "groups: {a: [TenYearCHD]}\n", ["`groups` must be without"]),
    "a dropout of all": (
        STUDY + "network: {dropout: 1}\n",
        ["`network.dropout` must be a number of at least 0 and below 1", "got 1"],
    ),
    "an unknown class weight": (
        STUDY + "training: {class_weight: even}\n",
        ["`training.class_weight` must be none, balanced, or a mapping", "'even'"],
    ),
    "a class weight of zero": (
        STUDY + "training: {class_weight: {0: 0, 1: 1}}\n",
        ["`training.class_weight` must be none, balanced, or a mapping", "0"],
    ),
    "a searched mapping of class weights": (
        with_space(("regularizer: [none]", "class_weight: [none, {0: 1, 1: 5}]")),
        ["`space.class_weight`", "a mapping cannot be searched"],
    ),
    "a layer of no units": (
        STUDY + "network: {hidden_layer_sizes: [5, 0]}\n",
        ["`network.hidden_layer_sizes` must be a list of whole numbers"],
    ),
    "inputs in two places": (
        with_space(("regularizer: [none]", "inputs: [[clinical]]"), "inputs: [clinical]"),
        ["`inputs` must be left out where `space.inputs` is given"],
    ),
    "searched inputs that are no lists": (
        with_space(("regularizer: [none]", "inputs: [clinical, genetic]")),
        ["`space.inputs` must be lists of families, such as [[clinical], [genetic]]", "'clinical'"],
    ),
    "no regularizer": (with_space(("lambda_l1: 1",)), ["`space.regularizer`", "none, l1", "noth"]),
    "an unknown regularizer": (
        with_space(("regularizer: [grup_lasso]",)),
        ["`space.regularizer`", "sparse_group_lasso", "'grup_lasso'", "mean `group_lasso`?"],
    ),
    "an unknown key of space": (
        with_space(("regularizer: [none]", "lamda_l1: 1")),
        ["`space.lamda_l1`", "expected one of", "did you mean `lambda_l1`?"],
    ),
    "a searched seed": (
        with_space(("regularizer: [none]", "batch_seed: [0, 1]")),
        ["`space.batch_seed`", "a seed is a replicate"],
    ),
    "a lambda that is missing": (
        with_space(("regularizer: [l2, sparse_group_lasso]", "lambda_l2: 1", "lambda_l1: 1")),
        ["`space.lambda_group` is missing", "sparse_group_lasso needs it"],
    ),
    "a lambda of no use": (
        with_space((L1, "lambda_l1: 1", "lambda_l2: 1")),
        ["`space.lambda_l2` must be left out unless l2 or elastic_net is searched", "with l1"],
    ),
    "low above high": (
        with_space((L1, "lambda_l1: {low: 0.1, high: 0.01}")),
        ["`space.lambda_l1` must be a range with low <= high", "low=0.1, high=0.01"],
    ),
    "a logarithm of zero": (
        with_space((L1, "lambda_l1: {low: 0, high: 0.01, log: true}")),
        ["`space.lambda_l1` must be a range with 0 < low", "low=0, high=0.01"],
    ),
    "a negative lambda": (with_space((L1, "lambda_l1: [-0.1]")), ["`space.lambda_l1`", "-0.1"]),
    "a negative end": (
        with_space((L1, "lambda_l1: {low: -1, high: 1}")),
        ["`space.lambda_l1` must be a finite number of at least 0", "-1"],
    ),
    "an infinite end": (with_space((L1, "lambda_l1: {low: 0, high: .inf}")), [".high`", "inf"]),
    "half a range": (
        with_space((L1, "lambda_l1: {low: 0}")),
        ["`space.lambda_l1.high` is missing"],
    ),
    "a misspelt range": (
        with_space((L1, "lambda_l1: {low: 1, hihg: 2, high: 2}")),
        ["`space.lambda_l1.hihg`", "low, high, log, int, step, points", "did you mean `high`?"],
    ),
    "no choices": (with_space((L1, "lambda_l1: []")), ["`space.lambda_l1`", "one choice", "[]"]),
    "a choice twice": (with_space((L1, "lambda_l1: [1, 1.0]")), ["`space.lambda_l1`", "different"]),
    "a range of regularizers": (
        with_space(("regularizer: {low: 0, high: 1}",)),
        ["`space.regularizer` must be a list of choices, not a range"],
    ),
    "a searched value that is impossible": (
        with_space(("regularizer: [none]", "learning_rate: {low: 0, high: 1}")),
        ["`space.learning_rate` must be a number above 0", "got 0"],
    ),
    "layers that are no lists": (
        with_space(("regularizer: [none]", "hidden_layer_sizes: [50, 20]")),
        ["`space.hidden_layer_sizes` must be a list of whole numbers", "50"],
    ),
    "a crossed range": (
        with_space((L1, "lambda_l1: {low: 0, high: 1}"), "cross: [lambda_l1]"),
        ["`cross`", "a list of choices", "the range `lambda_l1`"],
    ),
    "something crossed that is not searched": (
        with_space(("regularizer: [none]",), "cross: [regularizers]"),
        ["`cross`", "'regularizers'", "did you mean `regularizer`?"],
    ),
    "a crossed lambda under a sampled regularizer": (
        with_space(("regularizer: [none, l1]", "lambda_l1: [1, 2]"), "cross: [lambda_l1]"),
        ["`cross` must be with `regularizer` where `lambda_l1` is"],
    ),
    "a grid without points": (
        STUDY + "sampler: grid\n",
        ["`space.lambda_l1` must be given `points`, as sampler: grid needs"],
    ),
    "a key that stands twice": (
        STUDY + "target: age\n",
        ["valid YAML", "line 10", "the key `target` stands twice"],
    ),
    "broken YAML": (STUDY + "drop: [a\n", ["valid YAML", "line 1"]),
    "an empty file": ("# nothing\n", ["must be a mapping of keys", "nothing"]),
    "a list for a study": ("[1]\n", ["must be a mapping of keys", "list"]),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_refused_with_file_key_law_and_what_stood_there(mistake, refusal):
    text, parts = REFUSED[mistake]
    sentence = refusal(text)
    assert "mine.yaml" in sentence
    for part in parts:
        assert part in sentence


@pytest.mark.parametrize(
    ("parameter", "value", "parts"),
    [
        ("epochs", "soon", ["parameter `epochs` must be a whole number", "'soon'"]),
        ("configurations", "0", ["parameter `configurations` must be", "got 0"]),
        ("sampler", "sobol", ["parameter `sampler` must be qmc, tpe, random or grid", "'sobol'"]),
        ("seeds", "-1", ["parameter `seeds`", "-1"]),
        ("epoch", 5, ["parameter `epoch` is not known", "did you mean `epochs`?"]),
        ("lambda_group", 0.01, ["outside its `space`", "got `lambda_group`"]),
        ("inputs", "clinical,genes", ["parameter `inputs`", "'genes'"]),
    ],
)
def test_a_wrong_parameter_is_named_as_a_parameter(parameter, value, parts, refusal):
    sentence = refusal(**{parameter: value})
    for part in parts:
        assert part in sentence
    assert "mine.yaml" not in sentence


def test_an_unknown_study_is_answered_with_the_known_ones():
    with pytest.raises(InputError) as raised:
        load_search_space("grup_lasso")
    for part in ("framingham, group_lasso", "'grup_lasso'", "did you mean `group_lasso`?"):
        assert part in str(raised.value)


@pytest.mark.parametrize("study", ["missing.yaml", "", "../group_lasso", "a\0b"])
def test_a_study_that_is_no_file_is_refused(study):
    with pytest.raises(InputError, match=r"path to a \.yaml file that exists"):
        load_search_space(study)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = Path(tmp_path / "mine.yaml")
    path.write_bytes(b"target: \xff\xfe")
    with pytest.raises(InputError, match=r"mine.yaml: must be UTF-8 text"):
        load_search_space(str(path))


def test_a_key_by_the_name_of_an_earlier_version_is_taken(study):
    text = STUDY + "unpenalised: [age]\n"
    assert study(text).unpenalized == ("age",)
    assert study(text, unpenalised="male").unpenalized == ("male",)


def test_how_a_table_is_read_can_be_said_at_a_command_line():
    said = {"drop": "Unnamed: 0, visit", "missing": "-9,unknown", "numbers": "1.234,5"}
    space = load_search_space(
        "group_lasso", said | {"person": "who", "task": "regression", "genotypes": "none"}
    )
    assert space.drop == ("Unnamed: 0", "visit") and space.missing == ("-9", "unknown")
    assert (space.numbers, space.person) == ("1.234,5", "who")
    assert (space.task, space.objective) == ("regression", "val_r2")  # not the file's val_auroc
    plain = load_search_space("group_lasso").identity()
    assert "person" not in plain and space.identity()["person"] == "who"
    with pytest.raises(InputError, match=r"`numbers` must be 1,234.5 or 1.234,5"):
        load_search_space("group_lasso", {"numbers": "german"})


def test_a_study_is_found_in_the_working_folder_too(tmp_path: Path, monkeypatch) -> None:
    # As where the package is installed, and search_spaces/ is the person's own.
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"`study` must be a path to a .yaml file that exists"):
        find_study("mine", tmp_path / "nowhere")
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces/mine.yaml").write_text("# ?\n")
    assert find_study("mine", tmp_path / "nowhere") == Path("search_spaces/mine.yaml")
    with pytest.raises(InputError, match=r"one of mine, or a path .* got 'min'; did you mean"):
        find_study("min", tmp_path / "nowhere")
