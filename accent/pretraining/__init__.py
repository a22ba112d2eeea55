"""Pre-training: the teacher, and its distillation into our network."""
