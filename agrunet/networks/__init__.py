"""AgrUNet and the networks that it is compared with, behind one interface; `registry` lists them. They import errors and settings only."""
