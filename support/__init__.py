"""What the program needs but is not its story: options, data, files, checkpoints, pictures, devices."""
