"""How good are the digits? Figures of quality, the classifier that they use, and the report."""
