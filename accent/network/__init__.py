"""The residual network, its card, and its logits for clips."""
