"""The agent on the vehicle's driving computer, and every rule it obeys.

Floors, from the top; imports point down only (checked by the import contracts in ``pyproject.toml``):

    daemon      main, configuration; the only place that constructs adapters
    pipeline    the loops: sense -> select -> seal -> deliver, and control
    adapters    one file per port: the only input and output     testing   one behaving fake per port
    ports       small Protocols
    rules       pure decisions; siblings never import each other
    wire        one encoder and one decoder for everything that crosses a boundary
    records     frozen values with units in their names
"""

__version__ = "0.1.0"
