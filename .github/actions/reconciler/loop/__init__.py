"""What the workflows do beside calling `reconciler`: comments, check runs, approvals and issues, by way of `gh api`.

`__main__` has the steps by name; each is a function of the environment that its workflow declares, and nothing else.
"""
