"""Reads datasets: .npz files, IDX files, folders of images."""
