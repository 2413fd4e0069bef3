"""Pure decisions: values and a moment in, a decision out. No clock, file, environment or socket."""
