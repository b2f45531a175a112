"""How the gallery is made: the order of the examples, the copies of them that are run, and the figures they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["copy_examples", "figures", "in_order"]

ORDER = (
    "quickstart", "readme_figure", "red_cell", "neighbours", "known_volume", "points", "filaments", "generated_cells",
    "psf_figure",
)  # fmt: skip


def copy_examples(source: Path, target: Path) -> None:
    """Copy the examples to a folder that git ignores, and make the image that the first one reads."""
    import cytoform
    from cytoform.cli.demo import demo_sample

    target.mkdir(exist_ok=True)
    for old in target.glob("*.py"):
        if not (source / old.name).exists():
            old.unlink()
    for path in [*source.glob("*.py"), source / "GALLERY_HEADER.rst"]:
        text, copy = path.read_text(encoding="utf-8"), target / path.name
        if not copy.exists() or copy.read_text(encoding="utf-8") != text:
            copy.write_text(text, encoding="utf-8")
    image = target / "demo" / "image.tif"
    if not image.exists():
        sample = demo_sample()
        image.parent.mkdir(exist_ok=True)
        cytoform.write_volume(image, sample.image.data, spacing=sample.image.spacing)


def figures(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figures that a block has made. The examples make matplotlib's figures without pyplot's windows."""
    from matplotlib.figure import Figure
    from sphinx_gallery.scrapers import figure_rst

    paths = []
    for value in block_vars["example_globals"].values():
        if isinstance(value, Figure) and not hasattr(value, "shown_in_gallery"):
            value.shown_in_gallery = True  # type: ignore[attr-defined]
            path = next(block_vars["image_path_iterator"])
            value.savefig(path, dpi=110, facecolor="white")
            paths.append(path)
    return str(figure_rst(paths, gallery_conf["src_dir"]))


def in_order(name: str) -> int:
    """The place of an example in the gallery."""
    stem = Path(name).stem
    return ORDER.index(stem) if stem in ORDER else len(ORDER)
