"""A digest as one HTML page that needs nothing beside it: the picture is inside, styles are few, no script."""

import base64
import html

from pipelines.digest.chart import Chart
from pipelines.digest.facts import Judgement
from pipelines.digest.wording import Statement, Wording

_COLOURS: dict[Judgement, str] = {"good": "#1a7f37", "bad": "#b42318", "neutral": "#57606a"}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ margin-bottom: .25rem; }}
p.subtitle {{ color: #57606a; margin-top: 0; }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); column-gap: 2rem; }}
section {{ border-top: 1px solid #d0d7de; padding: .75rem 0; overflow-wrap: anywhere; }}
h2 {{ font-size: 1rem; margin: 0; }}
section p {{ margin: .15rem 0; }}
p.value {{ font-size: 1.2rem; font-weight: 600; }}
figure {{ margin: 0 0 1rem; }}
p.more {{ color: #57606a; }}
img {{ max-width: 100%; height: auto; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p class="subtitle">{subtitle}</p>
{picture}
<main>
{sections}
</main>
</body>
</html>
"""


def page(wording: Wording, chart: Chart | None) -> str:
    """Lay a digest out as an HTML page, the trends as a picture in it."""
    return _PAGE.format(
        title=html.escape(wording.title),
        subtitle=html.escape(wording.subtitle),
        sections="\n".join(_section(statement) for statement in wording.statements),
        picture=_picture(chart) if chart else "",
    )


def _section(statement: Statement) -> str:
    parts = [f"<h2>{html.escape(statement.title)}</h2>", _paragraph("value", statement.value)]
    if statement.comparison:
        colour = _COLOURS[statement.judgement]
        parts.append(f'<p style="color: {colour}">{html.escape(statement.comparison)}</p>')
    parts += [_paragraph("more", sentence) for sentence in (statement.target, statement.newest) if sentence]
    parts += [_paragraph("more", sentence) for sentence in statement.restatements]
    return "<section>\n" + "\n".join(parts) + "\n</section>"


def _paragraph(kind: str, sentence: str) -> str:
    return f'<p class="{kind}">{html.escape(sentence)}</p>'


def _picture(chart: Chart) -> str:
    content = base64.b64encode(chart.png).decode("ascii")
    return f'<figure>\n<img alt="{html.escape(chart.alt_text)}" src="data:image/png;base64,{content}">\n</figure>'
