# SPDX-License-Identifier: BSD-3-Clause
"""Scenarios: JSON files in perf/scenarios, held against scenario.schema.json."""
import json
import os

import jsonschema

DIRECTORY = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "scenarios")
SCHEMA = os.path.join(DIRECTORY, "scenario.schema.json")


class ScenarioError(Exception):
    """No such scenario, or one that is not as the schema has it."""


def names():
    return sorted(name[:-5] for name in os.listdir(DIRECTORY)
                  if name.endswith(".json") and not name.endswith(".schema.json"))


def _read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def load(name):
    """A scenario by its name in the library, or by the path of a file; with its name as a member."""
    path = os.path.join(DIRECTORY, name + ".json") if os.sep not in name and not name.endswith(".json") else name
    try:
        document = _read(path)
    except FileNotFoundError:
        raise ScenarioError(f"there is no scenario {name}; there are {', '.join(names())}") from None
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{path}: {error}") from None
    checker = jsonschema.Draft202012Validator(_read(SCHEMA))
    if error := jsonschema.exceptions.best_match(checker.iter_errors(document)):
        place = "/" + "/".join(str(part) for part in error.absolute_path)
        raise ScenarioError(f"{path}: {place}: {error.message}")
    searched = set()
    for number, step in enumerate(document["steps"]):
        if step["method"] == "throughput":
            searched |= set(step["sizes"])
        if step["method"] in ("latency", "loss-curve") and (missing := set(step["sizes"]) - searched):
            raise ScenarioError(f"{path}: /steps/{number}: no throughput step before it searches {', '.join(missing)}")
    return {"name": os.path.basename(path)[:-5], **document}
