"""The project: settings, addresses, keys, fields and the bases that every app stands on."""
