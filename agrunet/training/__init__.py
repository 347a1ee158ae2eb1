"""Training: on random crops (`train`) or by epochs over whole patches (`cross_validation`, `tuning`), alone or under `torchrun`.

It may import inference, checkpoint, data and networks; of this library only the benchmark and the commands import it.
"""
