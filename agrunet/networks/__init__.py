"""AgrUNet and the networks that it is compared with, behind one interface; `kinds` lists them. Imports errors and settings only."""
