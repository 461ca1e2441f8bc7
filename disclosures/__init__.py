"""WHAT WE GAVE: third parties, their requests, and the register of all that was handed over. Nothing leaves without a ground."""
