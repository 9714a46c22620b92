"""Data in: .npz files, IDX files, folders of images."""
