"""The machine and the libraries on it: several processes, fused GPU kernels, and silence.

In: a model, or a value that all processes are to agree on. Out: the model with its kernels, the value agreed on.

May not import any other part of the trainer: nothing here knows what is trained.
"""
