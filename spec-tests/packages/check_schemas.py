"""Validates vector files and a recorded conversation with the JSON Schemas of the vectors.

Usage: check_schemas.py VECTORS EXPANDED REQUESTS ANSWERS

VECTORS is the folder of the schemas and the vectors, EXPANDED that of the vectors without recipes. REQUESTS and ANSWERS
have one JSON object per line.
"""

import copy
import json
import pathlib
import sys

from jsonschema import Draft202012Validator

vectors, expanded, requests, answers = map(pathlib.Path, sys.argv[1:])


def validator_of(path):
    schema = json.loads(path.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def check(validator, value, name):
    error = next(validator.iter_errors(value), None)
    if error is not None:
        sys.exit(f"{name}, {error.json_path}: {error.message[:300]}")


def check_refused(validator, value, change, name):
    value = copy.deepcopy(value)
    change(value)
    if validator.is_valid(value):
        sys.exit(f"the schema accepts {name}")


def vector_files(folder):
    return sorted(path for path in folder.glob("*.json") if not path.name.endswith(".schema.json"))


def recipes_in(value):
    """Returns the inputs that are not written as {"hex": …}."""
    if isinstance(value, list):
        return [found for inner in value for found in recipes_in(inner)]
    if not isinstance(value, dict):
        return []
    inputs = ("payload", "datagram", "stream", "body", "parts", "raw", "chunks")
    bytes_of = (inner if isinstance(inner, list) else [inner] for name, inner in value.items() if name in inputs)
    wrong = [one for some in bytes_of for one in some if not (isinstance(one, dict) and list(one) == ["hex"])]
    return wrong + [found for name, inner in value.items() if name not in inputs for found in recipes_in(inner)]


def lines_of(path):
    # splitlines would also split at U+2028, which JSON texts may contain.
    return [json.loads(line) for line in path.read_text("utf-8").strip("\n").split("\n")]


vector_file = validator_of(vectors / "vector.schema.json")
count = 0
for path in vector_files(vectors) + vector_files(expanded):
    content = json.loads(path.read_text("utf-8"))
    check(vector_file, content, path)
    count += len(content["vectors"])
    if path.parent == expanded:
        if missing := {"version", "license"} - content.keys():
            sys.exit(f"{path}: no {', '.join(missing)}")
        for vector in content["vectors"]:
            inputs = [value for name, value in vector.items() if name != "limits"]
            if "demand" not in vector or recipes_in(inputs):
                sys.exit(f"{path}: vector {vector['id']} is not expanded")
if [path.name for path in vector_files(vectors)] != [path.name for path in vector_files(expanded)]:
    sys.exit("the expanded files are not those of the vectors")

file = json.loads((vectors / "level.json").read_text("utf-8"))
for name, change in {
    "an unknown member": lambda file: file["vectors"][0].update(payloads=""),
    "two inputs": lambda file: file["vectors"][0].update(stream=[""]),
    "no input": lambda file: file["vectors"][0].pop("payload"),
    "an unknown error": lambda file: file["vectors"][0]["strict"].update(errors=["Nonsense"]),
    "half a byte": lambda file: file["vectors"][0].update(payload={"hex": "0"}),
    "an unknown recipe": lambda file: file["vectors"][0].update(payload={"rot13": "a"}),
}.items():
    check_refused(vector_file, file, change, name)

protocol = validator_of(vectors / "protocol.schema.json")
pairs = list(zip(lines_of(requests), lines_of(answers), strict=True))
for request, answer in pairs:
    name = request.get("id", "hello")
    check(protocol, request, f"the request {name}")
    check(protocol, answer, f"the answer to {name}")
by_kind = {pair[0]["do"]: pair for pair in pairs}
if set(by_kind) != {"hello", "receive", "send", "chunk"}:
    sys.exit(f"the conversation has only the requests {sorted(by_kind)}")
for name, kind, side, change in [
    ("an unknown ability", "hello", 1, lambda answer: answer.update(can=["datagram"])),
    ("an answer with an unknown member", "receive", 1, lambda answer: answer.update(message=[])),
    ("an answer without its id", "send", 1, lambda answer: answer.pop("id")),
    ("a stream with the sender of a datagram", "receive", 0, lambda request: request.update(
        transport="tcp", steps=[{"from": "A", "hex": ""}, {"end": True}])),
    ("a request with capital digits", "chunk", 0, lambda request: request.update(payload="AB")),
]:
    check_refused(protocol, by_kind[kind][side], change, name)
print(f"{count} vectors and {2 * len(pairs)} lines have their schema")
