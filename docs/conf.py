"""How Sphinx makes a site of the Markdown in this folder: `make docs`.

The site asks no other host for anything: furo has its own styles and takes the fonts of the system.
Every warning is an error, a broken link or anchor included.
"""

from __future__ import annotations

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

from regather import __version__

project = "Regather"
author = "the Regather authors"
copyright = "the Regather authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = f"Regather {__version__}"
html_copy_source = False
html_show_sphinx = False
show_warning_types = True

# The anchors that code forges make of headings, so that links work there and here.
myst_heading_anchors = 4

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88


def setup(app: Sphinx) -> dict[str, bool]:
    """Show mermaid diagrams as the code that they are: their script would come from elsewhere."""
    app.add_lexer("mermaid", TextLexer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
