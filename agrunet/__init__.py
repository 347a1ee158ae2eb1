"""AgrUNet as a library: networks, data, training, checkpoints, inference and their benchmark. Knows no other room."""
