"""Training with fastai."""
