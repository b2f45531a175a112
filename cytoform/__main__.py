"""``python -m cytoform``, the same as ``cytoform``."""

from cytoform.cli import main

if __name__ == "__main__":
    main()
