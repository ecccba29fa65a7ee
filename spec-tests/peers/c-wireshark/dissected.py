"""Reads what Wireshark's dissectors show of a datagram."""

from gelf_subject import Literal, message_of


class Pairs(list):
    """A JSON object as a list of (name, value), because tshark repeats names."""

    def all(self, name):
        return [value for key, value in self if key == name]


def value_of(kind, shown):
    """Returns the value of an entry of the dissected JSON text, or None for an entry that only describes another."""
    match kind:
        case "json.object":
            return members(shown)
        case "json.array":
            return [value for value in (value_of(*entry) for entry in Pairs(shown)) if value is not None]
        case "json.value.string":
            return shown
        case "json.value.number":
            return Literal(shown)
        case "json.value.true" | "json.value.false" | "json.value.null":
            return Literal(kind.removeprefix("json.value."))
        case "json.value.nan":
            return "NaN"  # for which an answer has no number


def members(shown):
    """Returns an object. An empty one is shown as an empty text. The last of repeated names counts."""
    result = {}
    name = None
    for kind, entry in Pairs(shown):
        if kind == "json.member":
            name = entry
        elif kind == "json.member_tree":
            result[name] = next(value for value in (value_of(*described) for described in entry) if value is not None)
    return result


def expert_messages(layer):
    """Returns the errors that the dissector reports anywhere in a layer."""
    if isinstance(layer, Pairs):
        for name, entry in layer:
            if name == "_ws.expert.message":
                yield entry
            yield from expert_messages(entry)


def read(layers):
    """Returns the messages that a datagram carries or completes, and its errors."""
    messages = []
    errors = [text for _, layer in layers for text in expert_messages(layer)]
    for json_layer in layers.all("json"):
        objects = json_layer.all("json.object") if isinstance(json_layer, Pairs) else []
        messages.extend(message_of(members(entry)) for entry in objects)
        if not objects:
            # Invalid JSON is shown as text.
            errors.append("JSON array" if isinstance(json_layer, Pairs) else "not JSON: Line-based text data")
    if not layers.all("gelf"):
        errors.append("not GELF: Data" if layers.all("data") else "not GELF: no data")
    return messages, [{"text": text} for text in errors]
