"""Prior probabilities of a surface and its staining (the regularisation), and the estimation of their strengths."""
