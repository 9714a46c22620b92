"""What the program needs but is not its story: options, data, devices, files, evaluation, the other GANs."""
