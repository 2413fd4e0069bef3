"""What was collected from a vehicle, for the person whose vehicle it is: a catalogue, and copies (Data Act)."""
