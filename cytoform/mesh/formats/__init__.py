"""Formats of mesh files: one module each, which turns bytes into :class:`.parts.Parts` and back."""
