"""The residual network, its card, and what it says of clips."""
