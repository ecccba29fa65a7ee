"""Finds the parts of Markdown that the tools of the book need: code, headings, sections, tables and links."""

import os
import re

FENCE = re.compile(r"^ *(```+|~~~+)(.*)$")
CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
DEFINITION = re.compile(r"^\[([^\]\n]+)\]: (\S+)$", re.MULTILINE)


def blocks(text):
    """Returns (line number, info string, body) of each fenced block of code."""
    found, start = [], None
    for number, line in enumerate(text.splitlines(), 1):
        match = FENCE.match(line)
        if start is None and match:
            start, mark, info, body = number, match[1], match[2].strip(), []
            indent = len(line) - len(line.lstrip())
        elif start is not None and match and match[1].startswith(mark) and not match[2].strip():
            found.append((start, info, "".join(line + "\n" for line in body)))
            start = None
        elif start is not None:
            # A block of a list is indented as its fence is.
            body.append(line[min(indent, len(line) - len(line.lstrip())) :])
    if start is not None:
        raise SystemExit(f"a block of code that begins at line {start} has no end")
    return found


def blank(text):
    """Returns the text with a NUL in place of each character but newlines."""
    return re.sub(r"[^\n]", "\0", text)


def without_blocks(text):
    """Returns a text of the same length in which blocks of code consist of NULs."""
    lines = text.splitlines(keepends=True)
    for start, _, body in blocks(text):
        for at in range(start - 1, start + body.count("\n") + 1):
            lines[at] = blank(lines[at])
    return "".join(lines)


def prose(text):
    """Returns a text of the same length in which all code, also in spans, consists of NULs."""
    return CODE_SPAN.sub(lambda match: blank(match[0]), without_blocks(text))


def spans(text):
    """Returns the text of each span of code."""
    return [match[2] for match in CODE_SPAN.finditer(without_blocks(text))]


def headings(text):
    """Returns (line number, level, anchor) of each heading. Anchors are those of GitHub and mdBook."""
    found, seen = [], {}
    for number, (masked, line) in enumerate(zip(prose(text).splitlines(), text.splitlines()), 1):
        level = len(masked) - len(masked.lstrip("#"))
        if level and masked[level : level + 1] == " ":
            words = LINK.sub(r"\1", line[level:]).strip().lower()
            anchor = re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", words))
            seen[anchor] = count = seen.get(anchor, -1) + 1
            found.append((number, level, f"{anchor}-{count}" if count else anchor))
    return found


def section(text, anchor):
    """Returns the text below the heading with this anchor, up to the next heading of its level or a higher one."""
    lines, start = text.splitlines(keepends=True), None
    for number, level, name in headings(text):
        if start is None and name == anchor:
            start, depth = number, level
        elif start is not None and level <= depth:
            return "".join(lines[start : number - 1])
    if start is None:
        raise SystemExit(f"there is no heading #{anchor}")
    return "".join(lines[start:])


def tables(text):
    """Returns the tables of a text, with an empty line between two."""
    runs, last = [], ""
    for line in text.splitlines():
        if line.startswith("|"):
            if not last.startswith("|"):
                runs.append([])
            runs[-1].append(line)
        last = line
    return "\n\n".join("\n".join(run) for run in runs) + "\n"


def resolve(target, source):
    """Returns the path and the anchor to which a link of the file `source` leads."""
    path, _, anchor = target.partition("#")
    return os.path.normpath(os.path.join(os.path.dirname(source), path)) if path else source, anchor


def links(text):
    """Returns (start, end, words, target) of each link and reference definition outside of code."""
    masked = prose(text)
    found = [(match, 1, 2) for pattern in (LINK, DEFINITION) for match in pattern.finditer(masked)]
    return [
        (match.start(), match.end(), text[match.start(words) : match.end(words)], match[target])
        for match, words, target in found
    ]
