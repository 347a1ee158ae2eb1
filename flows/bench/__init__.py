"""Whole requests measured from outside, by stage: time, memory, and what is read and written."""
