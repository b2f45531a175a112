"""What fits of points and of filaments share: measured image, derivatives, noise, background, least squares."""
