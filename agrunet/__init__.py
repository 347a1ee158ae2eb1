"""AgrUNet as a library: networks, losses, metrics, data sets, training and inference. Knows no other room."""
