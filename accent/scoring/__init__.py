"""A take -> a score: verdict, abstention, explanation."""
