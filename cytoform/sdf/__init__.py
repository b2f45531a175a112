"""Signed distances of shapes that move: from meshes and masks to sequences on disk. Negative inside, in µm."""

from .sequence import SDFSequence, SequenceInfo, open_sequence, sequence_files, write_sequence

__all__ = ["SDFSequence", "SequenceInfo", "open_sequence", "sequence_files", "write_sequence"]
