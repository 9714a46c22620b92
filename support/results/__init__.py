"""What a run writes: models, checkpoints, pictures, the folder of images."""
