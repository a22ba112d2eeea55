"""The teacher, and the distillation of what it hears into our network."""
