"""Style, scripts and the chart library: everything a page loads besides itself."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

FOLDER = "assets"
CHART_LIBRARY = f"{FOLDER}/vega.js"
_OWN = ("style.css", "theme.js", "tables.js", "charts.js")


def own() -> dict[str, bytes]:
    """The files written by hand."""
    folder = files("leaderboard.site") / FOLDER
    return {f"{FOLDER}/{name}": (folder / name).read_bytes() for name in _OWN}


@cache
def chart_library() -> dict[str, bytes]:
    """Vega, Vega-Lite and Vega-Embed as one script, as ``vl-convert-python`` bundles them.

    Takes some seconds and holds no lock of Python's meanwhile: call it beside other work.
    """
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return {CHART_LIBRARY: script.encode()}


def chart_library_versions() -> str:
    """Which versions the script holds."""
    import vl_convert

    return (
        f"Vega {vl_convert.get_vega_version()}, "
        f"Vega-Lite {vl_convert.get_vegalite_versions()[-1]}, "
        f"Vega-Embed {vl_convert.get_vega_embed_version()} (BSD-3-Clause)"
    )
