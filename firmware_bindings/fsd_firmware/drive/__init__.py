"""Recorded drives.

Read in this order: ``format`` states the file; ``writer`` gathers samples in ``cell`` and writes it; ``reader``
gives it back through ``chunk``, whole or cut off; ``ticks`` cuts the stream into ticks; ``frames`` adds raw
frames; ``replay`` is the source that an agent polls.
"""
