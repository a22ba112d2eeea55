"""A package a step of the way of the data; the modules here are the commands."""
