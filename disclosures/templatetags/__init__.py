"""Tags of the pages of disclosures."""
