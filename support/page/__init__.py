"""One HTML file that draws with a generator in any browser, without Python and without a network."""
