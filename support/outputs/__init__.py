"""What a run writes: files that appear whole or not at all, checkpoints, the folder of a run, the folder of images."""
