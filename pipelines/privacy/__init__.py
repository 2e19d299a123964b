"""What keeps people out of the figures: pseudonyms and allowlists."""
