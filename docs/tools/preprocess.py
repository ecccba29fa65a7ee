"""A preprocessor of mdBook for pages that are also read in the repository.

`[text](path) <!-- include -->` on a line of its own becomes the text of that file, or, with an anchor, of
that section; `<!-- include tables -->` takes the tables alone. A file that is no Markdown becomes a block of
code. A link to a file outside of the book becomes its text and the path, or a link to the page that includes
the file.
"""

import json
import os
import re
import sys

from markdown import DEFINITION, links, resolve, section, tables

INCLUDE = re.compile(r"^\[[^\]]*\]\(([^()\s]+)\) <!-- include( tables)? -->$", re.MULTILINE)
LANGUAGES = {".toml": "toml", ".yaml": "yaml", ".json": "json", ".conf": "ruby"}


def chapters(items):
    for item in items:
        if "Chapter" in item:
            yield item["Chapter"]
            yield from chapters(item["Chapter"]["sub_items"])


class Book:
    """The pages of the book. All paths begin at the root of the repository."""

    def __init__(self, book):
        self.root = os.path.dirname(os.getcwd())
        # mdBook has renamed README.md to index.md, except in `source_path`.
        self.pages = {f"docs/{chapter['source_path']}": chapter for chapter in chapters(book["items"])}
        # The page that includes a section: a link to the section leads there.
        self.included = {
            resolve(match[1], page): page
            for page, chapter in self.pages.items()
            for match in INCLUDE.finditer(chapter["content"])
        }

    def include(self, match, page):
        path, anchor = resolve(match[1], page)
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            text = file.read()
        kind = os.path.splitext(path)[1]
        if kind != ".md":
            return f"```{LANGUAGES.get(kind, 'text')}\n{text.rstrip()}\n```"
        if anchor:
            text = section(text, anchor)
        if match[2]:
            text = tables(text)
        return self.relinked(text, path, page).strip()

    def relinked(self, text, source, page):
        """Returns text of the file `source` with links as the page needs them."""
        unlinked = []
        for start, end, words, target in sorted(links(text), reverse=True):
            if re.match(r"[a-z]+:", target):
                continue
            path, anchor = resolve(target, source)
            if not os.path.exists(os.path.join(self.root, path)):
                raise SystemExit(f"{source}: the link {target} leads to nothing")
            to = self.included.get((path, anchor), path)
            is_definition = DEFINITION.fullmatch(text[start:end])
            if to in self.pages:
                target = os.path.relpath(self.pages[to]["path"], os.path.dirname(page.removeprefix("docs/")))
                if to == path and anchor:
                    target += f"#{anchor}"
                new = f"[{words}]: {target}" if is_definition else f"[{words}]({target})"
            elif is_definition:
                unlinked.append(words)
                new = ""
            else:
                new = words if words.strip("`") == path else f"{words} (`{path}`)"
            text = text[:start] + new + text[end:]
        for words in unlinked:
            text = text.replace(f"[{words}]", words)
        return text

    def process(self):
        for page, chapter in self.pages.items():
            text, pieces, at = chapter["content"], [], 0
            for match in INCLUDE.finditer(text):
                pieces += [self.relinked(text[at : match.start()], page, page), self.include(match, page)]
                at = match.end()
            chapter["content"] = "".join([*pieces, self.relinked(text[at:], page, page)])


if sys.argv[1:2] == ["supports"]:
    sys.exit(sys.argv[2] != "html")
_, book = json.load(sys.stdin)
Book(book).process()
json.dump(book, sys.stdout)
