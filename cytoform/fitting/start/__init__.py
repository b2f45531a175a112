"""Where a fit starts: the search of the image, labels, and starts that the user gives."""
