"""Test vectors for implementations of GELF, the Graylog Extended Log Format."""

import json
import pathlib

__all__ = ["TOPICS", "bytes_of", "folder", "load"]

#: The folder of the vectors, with their README.md and vector.schema.json.
folder = pathlib.Path(__file__).parent / "vectors"

#: The names of all topics.
TOPICS = sorted(path.stem for path in folder.glob("*.json") if not path.stem.endswith(".schema"))


def load(topic):
    """Returns the vectors of a topic, as a list of dictionaries. README.md describes their members."""
    return json.loads((folder / f"{topic}.json").read_text("utf-8"))["vectors"]


def bytes_of(value):
    """Returns the bytes of an input or expected payload, which is {"hex": "…"} in the vectors."""
    return bytes.fromhex(value["hex"])
