"""What is known of a surface and its staining before the image is looked at, and how strongly it holds."""
