"""MAY WE: policy versions, purposes, the consent ledger and the gate that decides every use."""
