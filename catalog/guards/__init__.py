"""Ways in: each form that input of others comes in is read by one guard, which turns a listed set of foreign errors into the caller's own.

What isn't listed is a fault of the program, and the generator of bad input in the tests finds it.
"""
