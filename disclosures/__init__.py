"""WHAT WE GAVE: the room kept for third parties and the register of disclosures; it holds nothing yet, so nothing can be disclosed."""
