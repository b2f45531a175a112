"""What fits of points and of filaments share: the measured image, local derivatives, noise, background, least squares."""
