"""What the agent gets from a vehicle: the vocabulary of samples, and the sources that give them.

``samples`` is the vocabulary, ``contract`` the interface that a source implements, ``can`` decodes buses,
``drive`` is the recorded-drive format with its replay source, ``codec`` the video codec contract.
"""
