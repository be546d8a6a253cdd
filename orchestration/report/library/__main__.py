"""Write `vega.js`: Vega-Embed with all it needs, as one classic script, from the wheel of vl-convert; no network is used."""

from __future__ import annotations

import sys
from pathlib import Path

FILE = Path(__file__).with_name("vega.js")
SNIPPET = "window.vegaEmbed = vegaEmbed; window.vega = vega; window.vegaLite = vegaLite;"
HEAD = "/* Vega, Vega-Lite, Vega-Embed and their parts; licences: orchestration/report/library/LICENSES.txt. Generated. */\n"


def main() -> int:
    """Write the file; return the exit code."""
    import vl_convert

    bundle = vl_convert.javascript_bundle(SNIPPET)
    # Modules' names stay inside; the snippet of the bundle puts the libraries on `window`.
    FILE.write_text(f"{HEAD}(()=>{{{bundle}}})();\n".replace("</script", "<\\/script"), encoding="utf-8")
    print(f"Wrote {FILE.name}: {FILE.stat().st_size:,} bytes.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
