"""What a run leaves: models, checkpoints, pictures, the folder of images."""
