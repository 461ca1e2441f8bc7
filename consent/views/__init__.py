"""The pages of consent: what anybody may read, and what customers choose and look up."""
