"""How near a take comes to natives, sound by sound."""
