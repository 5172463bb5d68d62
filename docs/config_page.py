#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
r"""Makes the manual page pontlevis-config(5) from the JSON Schema of the configuration.

usage: config_page.py SCHEMA TEMPLATE EXAMPLE

The template's comment FIELDS is replaced by every field of the document: where it stands, its type, its range, its
default and what the schema says of it. The comment EXAMPLE is replaced by the example document.
"""
import json
import re
import sys


def escape(text):
    """Text that no formatter takes for a request or an escape; `words` become bold."""
    text = text.replace("\\", "\\e").replace("^", "\\(ha").replace("~", "\\(ti")
    text = re.sub(r"`([^`]*)`", r"\\fB\1\\fP", text)
    return "\\&" + text if text.startswith((".", "'")) else text


def sentences(text):
    """One sentence to a line, as mdoc wants it."""
    return "\n".join(escape(part) for part in re.split(r"(?<=[.!?]) +", text))


def resolve(schema, node):
    """The node with what its $ref names; its own members win."""
    while "$ref" in node:
        target = schema
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def plural(count, word):
    return f"{count} {word}" + ("" if count == 1 else "s")


def between(node, low, high, unit):
    """The range in words, empty if there is none."""
    if low in node and high in node:
        return f"{node[low]} to {plural(node[high], unit) if unit else node[high]}"
    if low in node:
        return f"at least {plural(node[low], unit) if unit else node[low]}"
    if high in node:
        return f"at most {plural(node[high], unit) if unit else node[high]}"
    return ""


def describe_type(schema, node):
    """"integer, 1 to 4094", "array of at most 255 objects", ..."""
    kind = node["type"]
    if kind == "integer":
        return ", ".join(filter(None, [kind, between(node, "minimum", "maximum", "")]))
    if kind == "string":
        words = [kind, between(node, "minLength", "maxLength", "character")]
        if "pattern" in node:
            words.append("matching \\fB" + escape(node["pattern"]) + "\\fP")
        return ", ".join(filter(None, words))
    if kind == "array":
        item = resolve(schema, node["items"])
        words = [f"array of {item['type']}s", between(node, "minItems", "maxItems", "item")]
        if node.get("uniqueItems"):
            words.append("no item twice")
        if item["type"] == "string" and "pattern" in item:
            words.append("each matching \\fB" + escape(item["pattern"]) + "\\fP")
        return ", ".join(filter(None, words))
    return kind


def fields(schema, node, path):
    """Yields (path, node, required) of every field below, in the schema's order."""
    node = resolve(schema, node)
    if node["type"] == "array":
        yield from fields(schema, node["items"], path + "[]")
    for name, child in node.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        child = resolve(schema, child)
        yield below, child, name in node.get("required", [])
        yield from fields(schema, child, below)


def page(schema):
    lines = [".Bl -tag -width Ds"]
    for path, node, required in fields(schema, schema, ""):
        facts = [describe_type(schema, node), "required" if required else "optional"]
        if "default" in node:
            facts.append(f"default {json.dumps(node['default'])}")
        lines.append(f".It Cm {path}")
        lines.append("(" + "; ".join(facts) + ")")
        texts = [node.get("description", "")]
        if node["type"] == "array":
            item = resolve(schema, node["items"])
            if item["type"] != "object":
                texts.append(item.get("description", ""))
        lines += [sentences(text) for text in texts if text]
    lines.append(".El")
    return "\n".join(lines)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    schema_text, template, example = (open(path, encoding="utf-8").read() for path in sys.argv[1:])
    parts = {".\\\" FIELDS": page(json.loads(schema_text)), ".\\\" EXAMPLE": escape(example.rstrip("\n"))}
    for mark, text in parts.items():
        if f"\n{mark}\n" not in template:
            sys.exit(f"{sys.argv[2]}: no line {mark}")
        template = template.replace(f"\n{mark}\n", f"\n{text}\n")
    sys.stdout.write(template)


if __name__ == "__main__":
    main()
