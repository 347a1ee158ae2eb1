"""The networks that AgrUNet is compared with, written from their papers behind AgrUNet's interface."""
