"""A study and its table, made to fit each other, before anything is written."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.data import (
    BINARY,
    Cohort,
    Table,
    check_bounds,
    check_class_weight,
    described,
    is_quantity,
    load_cohort,
    named,
    read_table,
)
from pipeline.errors import InputError
from pipeline.genetics import Joined, component_names, id_columns, join
from pipeline.search_space import SearchSpace
from pipeline.serving import open_fileset
from pipeline.study.needs import require_memory_to_read

Roles = dict[str, Any]
"""`categories`, `drop`, `families`, `groups` and `unpenalized`, as `load_cohort` takes them."""


def study_cohort(space: SearchSpace) -> tuple[SearchSpace, Cohort, Joined | None]:
    """The study with its task known, its people, and where their genotypes are in a fileset.

    With a fileset the people are those of both it and the table.

    Where a parameter put another table in place of the study's own, the columns that the study
    names and the table lacks are left out, and so are its categories that are quantities there;
    `sample_weight`, `id`, `person` and the target must exist, as must what a parameter names.
    Raises InputError for anything in which study, table and fileset do not fit.
    """
    left_out: list[str] = []
    roles: Roles = {
        "categories": space.categories,
        "drop": space.drop,
        "families": space.families,
        "groups": space.groups,
        "unpenalized": space.unpenalized,
    }
    require_memory_to_read(space.data)
    ids = id_columns(space.id)
    persons = () if space.person is None else (space.person,)
    table = read_table(space.data, texts=(*ids, *persons, *space.categories))
    if space.data_replaced:
        roles, left_out = _within(roles, table, space.parameters)
    joined = None
    if _uses_genotypes(space) and space.genotypes != "simulated":
        joined = join(table, space.id, open_fileset(space.genotypes), several_rows=True)
        left_out += joined.warnings
        table = table if joined.table_rows is None else table.rows(joined.table_rows)
    cohort = load_cohort(
        table,
        space.target,
        task=space.task,
        case=space.case,
        **roles,
        sample_weight=space.sample_weight,
        identifier=ids,
        person=space.person,
        keep=space.keep,
        numbers=space.numbers,
        missing=space.missing,
        dates=space.dates,
        rare_level_people=space.rare_level_people,
        validation_fraction=space.split.validation_fraction,
        test_fraction=space.split.test_fraction,
        split_seed=space.split.seed,
    )
    _check_people_are_whole(joined, cohort, space)
    space = space.for_task(cohort.task)
    for class_weight in space.space.get("class_weight", (space.training.class_weight,)):
        check_class_weight(class_weight, cohort.task, cohort.classes, cohort.target)
    _check_genotypes(space, cohort)
    space, unknown = _groups_within(space, table)
    shown = described(table, cohort, list(space.report_by), space.rare_level_people)
    check_bounds(space.report_by, shown)
    warnings = (*cohort.warnings, *left_out, *unknown)
    return space, replace(cohort, warnings=warnings, described=shown), joined


def _groups_within(space: SearchSpace, table: Table) -> tuple[SearchSpace, list[str]]:
    """The study without the columns of `report_by` that another table than its own lacks."""
    present = set(table.frame.columns)
    lost = [column for column in space.report_by if column not in present]
    if not space.data_replaced or "report_by" in space.parameters or not lost:
        return space, []
    kept = {column: bounds for column, bounds in space.report_by.items() if column in present}
    return replace(space, report_by=kept), [
        f"the table has no {named(lost)}, which the study names under report_by; left out"
    ]


def _within(roles: Roles, table: Table, parameters: Set[str]) -> tuple[Roles, list[str]]:
    """Roles without what does not suit another table than the study's, and sentences on it.

    A category, a family or a column to drop that is not there is left out without a warning;
    what a parameter names is not changed.
    """
    present = set(table.frame.columns)
    groups = {
        n: tuple(c for c in columns if c in present) for n, columns in roles["groups"].items()
    }
    groups = {name: columns for name, columns in groups.items() if columns}
    variables = present | set(groups)
    quantities = [c for c in roles["categories"] if c in present and is_quantity(table, c)]
    suiting: Roles = {
        "categories": tuple(c for c in roles["categories"] if c in present and c not in quantities),
        "drop": tuple(c for c in roles["drop"] if c in present),
        "families": {
            name: tuple(c for c in columns if c in present)
            for name, columns in roles["families"].items()
        },
        "groups": groups,
        "unpenalized": tuple(v for v in roles["unpenalized"] if v in variables),
    }
    for name in parameters & roles.keys():
        suiting[name] = roles[name]
    in_groups = [c for columns in roles["groups"].values() for c in columns if c not in present]
    unpenalized = [v for v in roles["unpenalized"] if v not in variables]
    warnings = [
        f"the table has no {named(names)}, which the study names under {key}; left out"
        for key, names in (("groups", in_groups), ("unpenalized", unpenalized))
        if names and key not in parameters
    ]
    if quantities and "categories" not in parameters:
        warnings.append(
            f"{named(quantities)} is a category of codes in the study's table and has many or "
            f"broken numbers in this one: taken as a quantity; -P categories={quantities[0]} "
            "makes it a category"
        )
    return suiting, warnings


def _check_people_are_whole(joined: Joined | None, cohort: Cohort, space: SearchSpace) -> None:
    """InputError where rows with one genotype are taken for different people: parts of the split
    would share it."""
    if joined is None:
        return
    whose = np.arange(len(joined.rows)) if cohort.people is None else cohort.people
    people = np.unique(np.stack([joined.rows, whose]), axis=1)
    several = len(people[0]) - len(np.unique(joined.rows))
    if several:
        raise InputError(
            f"rows with the same {' and '.join(id_columns(space.id))} must be one person's, but by "
            f"{space.person} {several} of them are another's; correct them, or leave out person: "
            "rows are kept together by id then"
        )


def _uses_genotypes(space: SearchSpace) -> bool:
    return "genetic" in space.inputs or space.principal_components > 0


def _check_genotypes(space: SearchSpace, cohort: Cohort) -> None:
    """InputError where the genetic family cannot be had for this table."""
    if not _uses_genotypes(space):
        return
    components = component_names(space.principal_components)
    taken = [v for v in cohort.inputs.variable_names if v.startswith("genetic_") or v in components]
    if taken:
        raise InputError(
            "variables named genetic_… are the encoder's and PC1 … the principal components, but "
            f"the table has {', '.join(taken)}: rename them, or give genotypes=none"
        )
    if space.genotypes == "simulated" and cohort.task != BINARY:
        raise InputError(
            "simulated genotypes must have a binary outcome, of which they are drawn, but "
            f"{cohort.target} is a {cohort.task} target; give genotypes=none, or a fileset"
        )
