"""The tips and tools that the operator writes."""
