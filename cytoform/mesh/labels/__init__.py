"""Meshes of touching cells from label images, and label images from such meshes."""
