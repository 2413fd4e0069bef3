"""May this configuration be trusted: signature, version, region."""
