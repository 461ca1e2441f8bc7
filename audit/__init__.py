"""WHO DID WHAT: the entries of the audit trail. Holds no personal data."""
