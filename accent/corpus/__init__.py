"""Common Voice releases, and which of their clips are used."""
