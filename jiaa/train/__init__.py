"""Training: state, optimizers, steps, the loop, and what a workdir keeps.

The shortest program opens a `Workdir`, makes a state by `create_train_state`, binds the
constants of `steps.train_step` by `functools.partial`, and hands all to `fit`, which
resumes by itself.
"""
