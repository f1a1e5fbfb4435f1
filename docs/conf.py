"""How Sphinx builds the documentation: `make docs`."""

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "groundup"
author = "The groundup authors"
project_copyright = "2026, The groundup authors"
version = release = installed_version("groundup")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    # in _ext
    "compiled",
    "lessons",
    "links",
    "mathml",
]
exclude_patterns = ["_build", "_ext"]
templates_path = ["_templates"]
default_role = "code"

# A page for each public module, made of its `__all__` by _templates/autosummary/module.rst.
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shape"]
napoleon_use_rtype = False
napoleon_use_ivar = True

myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Every cross-reference must lead somewhere. Annotations in signatures may name what has no page:
# other packages, short names of types, and types that only a return value has.
nitpicky = True
nitpick_ignore_regex = [
    ("py:class", r"(?!groundup\.).*"),
    ("py:class", r"groundup\.\w+\.(?!functional|lr_scheduler)\w+\.\w+"),
    ("py:class", r"groundup\.engine\.compiler\..*"),
    ("py:class", r"groundup\.apps\.grn\.\w+\.\w+\.\w+"),
    ("py:exc", "GRNError"),
]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"groundup {release}"
html_static_path = ["_static"]
html_css_files = ["groundup.css"]
html_copy_source = False


def escape_markup(app, what, name, obj, options, lines):
    """Docstrings are plain text with ``code`` in it; asterisks in shapes are no emphasis."""
    verbatim: int | None = None  # indentation of the block that is being left alone
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if verbatim is not None:
            if not line.strip() or indent > verbatim:
                continue
            verbatim = None
        if line.lstrip().startswith((">>>", "Example:")):
            verbatim = indent if line.lstrip().startswith("Example:") else indent - 1
            continue
        parts = line.split("``")
        parts[::2] = [re.sub(r"(\*|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
        lines[i] = "``".join(parts)
        if line.rstrip().endswith("::"):
            verbatim = indent


def setup(app):
    """Escape before Napoleon reads the sections."""
    app.connect("autodoc-process-docstring", escape_markup, priority=400)
