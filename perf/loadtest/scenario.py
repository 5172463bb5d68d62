# SPDX-License-Identifier: BSD-3-Clause
"""Scenarios: JSON files in perf/scenarios, held against scenario.schema.json."""
import json
import os

import jsonschema

from loadtest import rig

DIRECTORY = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "scenarios")
SCHEMA = os.path.join(DIRECTORY, "scenario.schema.json")
RESULT_FORMAT = 4  # of the JSON document that a run ends with
# Of a scale sweep: VLANs and SAs; what fits the generator's memory; the fence's table; queues of a line.
SCALE_MAX = {"tenants": 1024, "macs": 32768, "prefixes": 1000000, "workers": 16}


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
    if document["rig"] == "nic" and "tenants" in document:
        raise ScenarioError(f"{path}: /tenants: stands in the rig file")
    searched = set()
    for number, step in enumerate(document["steps"]):
        if step["method"] == "throughput":
            searched |= {(size, step.get("direction", "there")) for size in step["sizes"]}
        if step["method"] == "timeline":
            if document["rig"] == "nic" and (step["what"] != "soak" or "rig" in step):
                raise ScenarioError(f"{path}: /steps/{number}: the appliances on the rig nic are not ours to change")
            name = step.get("rig", document["rig"])
            if step["what"] in ("site", "link") and step["what"] not in rig.RIGS[name].cuts:
                raise ScenarioError(f"{path}: /steps/{number}: a {step['what']} cannot be cut on the rig {name}")
        if document["rig"] != "memory" and step["method"] in ("peers", "scale"):
            raise ScenarioError(f"{path}: /steps/{number}: {step['method']} needs the rig memory")
        if step["method"] in ("latency", "loss-curve"):
            way = step.get("direction", "there")
            if missing := [size for size in step["sizes"] if (size, way) not in searched]:
                raise ScenarioError(f"{path}: /steps/{number}: no throughput step before it searches {', '.join(missing)} ({way})")
        if step["method"] == "scale" and (largest := max(step["values"])) > SCALE_MAX[step["what"]]:
            raise ScenarioError(f"{path}: /steps/{number}/values: {largest} {step['what']}, at most {SCALE_MAX[step['what']]}")
    return {"name": os.path.basename(path)[:-5], **document}
