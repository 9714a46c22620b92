"""How good are the digits? Figures, and the classifier that they rest on."""
