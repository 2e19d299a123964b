"""A digest as plain text, for a terminal or a mail."""

import textwrap

from pipelines.digest.wording import Wording

WIDTH = 100


def text(wording: Wording) -> str:
    """Lay a digest out as plain text; lines are wrapped between words and never cut."""
    blocks = [f"{wording.title}\n{_wrapped(wording.subtitle, '')}"]
    for statement in wording.statements:
        sentences = [_wrapped(sentence, "  ") for sentence in statement.sentences]
        blocks.append("\n".join([statement.title, *sentences]))
    return "\n\n".join(blocks) + "\n"


def _wrapped(sentence: str, indent: str) -> str:
    return textwrap.fill(
        sentence,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  " if indent else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
